"""How each target of a run does, as rows for a status page.

{name, url, ok, detail, latency_ms}      ``ok`` and ``latency_ms`` are None before the first call
"""

from __future__ import annotations

from typing import Any

from banksim.run.local_load import Generator


def target_rows(generator: Generator) -> list[dict[str, Any]]:
    """Each target with how its last call went, Kafka last."""
    connected = generator.connected
    if connected is None:
        return []
    circuits = {circuit.system.lower(): circuit.text for circuit in connected.targets.circuits()}
    rows = []
    for name, address in connected.addresses.items():
        last, circuit = generator.last_calls.get(name), circuits.get(name, "")
        wrong = _money(generator) if name == "nexum" else ""
        rows.append(
            {
                "name": name.capitalize(),
                "url": address,
                "ok": None if last is None else last.error is None and not circuit and not wrong,
                "detail": circuit or wrong or ("" if last is None else last.error or ""),
                "latency_ms": None if last is None else round(last.latency_ms, 2),
            }
        )
    return [*rows, generator.events.status()] if generator.events is not None else rows


def _money(generator: Generator) -> str:
    """What the running check of balances found; empty when every account agrees."""
    count = generator.measures.balance_checks.violations
    what = "account does" if count == 1 else "accounts do"
    return f"{count:,} {what} not hold what was acknowledged" if count else ""
