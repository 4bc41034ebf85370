"""How each target of a run does, as rows for a status page.

{name, url, ok, detail, latency_ms}      ``ok`` and ``latency_ms`` are None before the first call
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banksim.run.connect import Connected
from banksim.run.kafka import Events
from banksim.targets import Call


def target_rows(
    connected: Connected, last_calls: Mapping[str, Call], violations: int, events: Events
) -> list[dict[str, Any]]:
    """Each target with how its last call went, Kafka last; ``violations`` counts wrong balances."""
    circuits = {circuit.system.lower(): circuit.text for circuit in connected.targets.circuits()}
    rows = []
    for name, address in connected.addresses.items():
        last, circuit = last_calls.get(name), circuits.get(name, "")
        wrong = _money(violations) if name == "nexum" else ""
        rows.append(
            {
                "name": name.capitalize(),
                "url": address,
                "ok": None if last is None else last.error is None and not circuit and not wrong,
                "detail": circuit or wrong or ("" if last is None else last.error or ""),
                "latency_ms": None if last is None else round(last.latency_ms, 2),
            }
        )
    return [*rows, events.status()]


def _money(violations: int) -> str:
    """What the running check of balances found; empty when every account agrees."""
    what = "account does" if violations == 1 else "accounts do"
    return f"{violations:,} {what} not hold what was acknowledged" if violations else ""
