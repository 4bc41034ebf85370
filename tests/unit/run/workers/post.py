"""Messages as they come out at the other end, and a post office that keeps them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgpack

from banksim.run.workers.messages import FROM_MASTER, FromMaster, FromWorker, encode, from_master, from_worker

Sent = TypeVar("Sent", bound=FromWorker | FromMaster)


def over_the_wire(message: Sent) -> Sent:
    """Packed and unpacked as Locust does it."""
    data = msgpack.loads(msgpack.dumps(encode(message)), strict_map_key=False)
    decoded: Any = from_master(data) if isinstance(message, FROM_MASTER) else from_worker(data)
    assert type(decoded) is type(message)
    return decoded  # type: ignore[no-any-return]


class PostOffice:
    """An `Outbox` that keeps what is sent: (client id, message)."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, FromMaster]] = []

    def send(self, client_id: str, message: FromMaster) -> None:
        self.sent.append((client_id, over_the_wire(message)))

    def to(self, client_id: str) -> list[FromMaster]:
        return [message for receiver, message in self.sent if receiver == client_id]

    def kinds(self, client_id: str) -> list[str]:
        return [message.kind for message in self.to(client_id)]
