"""Locust users who post one constant body, each through another client: the fields of a comparison.

locust -f benchmarks/plain_users.py FastUser --headless -u 20 -r 100 --host http://127.0.0.1:8000
"""

from __future__ import annotations

import random
from typing import Any, ClassVar

from locust import FastHttpUser, User, task

from banksim.targets import HttpTransport, Request

PATH = "/transactions/deposit"
BODY = {
    "amount": {"amount": "125.50", "currency": "USD"},
    "description": "Groceries at the corner, paid by card",
    "channel": "online",
    "reference": "0c9f5a3e-6f0a-4d57-9a53-3f1c2b1e9d10",
    "account_id": "7d1f7e1e-3f3a-4c83-8a83-b0a4c8e2c111",
    "metadata": {"customer": "9f3b7c52-9c38-4f5f-8a63-5b5b8f3f7a22", "city": "Boston"},
}


class FastUser(FastHttpUser):
    """Locust's own fast client."""

    @task
    def post(self) -> None:
        self.client.post(PATH, json=BODY)


class TransportUser(User):
    """banksim's own client, shared by all users, with Locust's request event."""

    shared: ClassVar[dict[str, HttpTransport]] = {}

    def on_start(self) -> None:
        client = self.shared.get(self.host)
        if client is None:
            client = self.shared[self.host] = HttpTransport(self.host, rng=random.Random(1))
        self.client = client

    @task
    def post(self) -> None:
        reply = self.client.send(Request("POST", PATH, PATH, BODY))
        self._fire(reply)

    def _fire(self, reply: Any) -> None:
        self.environment.events.request.fire(
            request_type="POST",
            name=PATH,
            response_time=reply.latency_ms,
            response_length=reply.response_bytes,
            exception=RuntimeError(reply.error) if reply.error else None,
            context={},
        )
