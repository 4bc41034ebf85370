"""What the made-up view knows beside its day: scenarios, plan, results, past runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from banksim.measure.scores import ScoreCounts, sweep, used_scores
from banksim.model import BanksimError, UsageError

TARGETS = (
    {"name": "Nexum", "url": "http://localhost:8090", "ok": True, "detail": "", "latency_ms": 12.4},
    {"name": "Bastion", "url": "http://localhost:8080", "ok": True, "detail": "", "latency_ms": 31.0},
    {"name": "Kafka", "url": "", "ok": None, "detail": "off: no servers named", "latency_ms": None},
)

DASHBOARD = {
    "theme": "auto",
    "refresh_rate_ms": 1000,
    "max_feed_items": 500,
    "chart_retention_hours": 24.0,
    "chart_resolution_seconds": 5.0,
    "fraud_alert_threshold": 0.8,
    "sound_alerts": False,
}

CARDS = [
    {
        "name": name,
        "title": title,
        "description": description,
        "duration_hours": 24.0,
        "speed": speed,
        "wall_s": 86_400 / speed,
        "customers": 300,
        "peak_tps": 20.0,
        "transactions": 4321,
        "fraud_rate": 0.01,
        "typologies": ["card_testing", "account_takeover"],
        "search": False,
    }
    for name, title, description, speed in (
        ("demo", "A day with two attacks", "Made up.", 288.0),
        ("quiet", "A quiet day", "Nothing <b>happens</b> here.", 100.0),
    )
]

CAMPAIGNS = [
    {
        "campaign": f"card_testing-{number}",
        "label": "card_testing",
        "typology": "card_testing",
        "size": 20,
        "begun": number < 3,
        "start_s": 7200.0 * number,
        "end_s": 7200.0 * number + 3000,
        "transactions": 20 if number < 3 else 0,
        "alerted": 5 if number < 2 else 0,
        "first_alert_s": 7200.0 * number + 600 if number < 2 else None,
    }
    for number in range(1, 9)
]

EVENTS = [
    {"sim_s": 28_800.0, "kind": "business", "text": "Business hours begin, 40 tx/s"},
    {"sim_s": 52_000.0, "kind": "attack", "text": "account_takeover begins"},
    {"sim_s": 86_400.0, "kind": "end", "text": "The scenario ends"},
]


def past_run(run_id: str, recall: float) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "files": [{"name": "report.html", "bytes": 900_000}, {"name": "results.json", "bytes": 40_000}],
        "scenario": "demo",
        "title": "A day with two attacks",
        "started_at": "2026-01-05T10:00:00+00:00",
        "end": "completed",
        "mode": "dry-run",
        "seed": 7,
        "speed": 288.0,
        "wall_s": 300.0,
        "simulated_s": 86_400.0,
        "customers": 300,
        "transactions": 4000,
        "offered": 4001,
        "dropped": 1,
        "error_share": 0.0,
        "peak_tps": 31.0,
        "achieved_tps": 14.0,
        "p50_ms": 2.0,
        "p99_ms": 9.0,
        "fraud": 80,
        "recall": recall,
        "recall_low": recall - 0.1,
        "recall_high": min(1.0, recall + 0.1),
        "precision": 0.8,
        "false_positive_rate": 0.002,
        "coverage": 1.0,
        "thresholds": 2,
        "thresholds_failed": 0,
    }


class DemoLists:
    """The part of `web_ext.run_view.RunView` that does not move with the clock."""

    selected = "demo"
    dashboard = DASHBOARD
    bins: dict[str, ScoreCounts]

    def __init__(self) -> None:
        self.starts: list[tuple[dict[str, str], bool]] = []

    def scenarios(self) -> dict[str, Any]:
        broken = [{"name": "torn", "error": "duration_hours: missing (torn.yaml)"}]
        return {"scenarios": CARDS, "broken": broken, "selected": self.selected, "mode": "dry-run"}

    def schedule(self) -> dict[str, Any]:
        rows = [dict(row) for row in CAMPAIGNS]
        return {**self.windows(), "campaigns": rows, "campaigns_total": len(rows), "events": EVENTS}

    def start(self, options: Mapping[str, str], switch: bool = False) -> dict[str, Any]:
        if options.get("scenario") == "nowhere":
            raise UsageError("'nowhere': no scenario of that name; known: demo, quiet")
        if self._state in ("running", "paused") and not switch:
            raise BanksimError("A run is under way.")
        self.starts.append((dict(options), switch))
        self.selected = options.get("scenario", self.selected)
        self.begin()
        return self.status()

    def select(self, name: str) -> dict[str, Any]:
        if name not in {card["name"] for card in CARDS}:
            raise UsageError(f"{name!r}: no scenario of that name; known: demo, quiet")
        self.selected = name
        return self.status()

    def results(self) -> dict[str, Any] | None:
        if self._state == "idle":
            return None
        snapshot = self.snapshot()
        run = {
            **past_run("20260105-000000-demo", 0.7),
            "scenario": {
                "name": "demo",
                "title": "A day with two attacks",
                "start_at": "2026-01-05T00:00:00",
            },
            "currency": "USD",
            "end": "under way",
            "wall_s": self.status()["wall_s"],
            "simulated_s": self.status()["sim_s"],
        }
        return {
            "schema": 1,
            "run": run,
            "thresholds": [
                {
                    "expression": "recall >= 90%",
                    "value": "70 %",
                    "passed": False,
                    "reason": "70 % is below 90 %",
                }
            ],
            "timeline": [],
            "scores": snapshot["scores"] | {"sweep": sweep(**self.bins), "bins": used_scores(**self.bins)},
            "quality_against_load": [
                {
                    "offered_tps": tps,
                    "seconds": 60,
                    "ended": 900,
                    "fraud": fraud,
                    "caught": fraud // 2,
                    "recall": 0.5,
                    "recall_low": 0.4,
                    "recall_high": 0.6,
                    "coverage": 0.99,
                    "p50_ms": 20.0,
                    "p99_ms": 90.0,
                }
                for tps, fraud in ((10.0, 20), (60.0, 200))
            ],
            "partial": self._state != "finished",
            **{
                key: snapshot[key]
                for key in ("transactions", "rate", "fraud", "detection", "latency_ms", "errors")
            },
        }

    def runs(self) -> list[dict[str, Any]]:
        return [past_run("20260105-100000-aaaa", 0.9), past_run("20260104-100000-bbbb", 0.6)]


def wilson(hits: int, count: int) -> tuple[float | None, float | None]:
    if not count:
        return None, None
    z2 = 1.96**2
    share = hits / count
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = 1.96 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def errors(failed: int) -> list[dict[str, Any]]:
    row = {"target": "nexum", "call": "POST /transactions", "error": "503 service unavailable"}
    return [{**row, "count": failed}] if failed else []
