"""A view without an engine: a made-up day at a bank, as a pure function of a clock.

`DemoView` moves by itself (give it the real clock to look at the page) or only when a
test moves its clock.  The same run looks the same every time: all figures come from
formulas and `random.Random(seed)`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from banksim.measure.scores import ScoreScale, histogram
from banksim.model import BanksimError
from tests.unit.web_ext.fake_lists import DASHBOARD, TARGETS, DemoLists, errors, wilson

START_AT = datetime(2026, 1, 5)
DAY_S = 86_400.0

TYPOLOGIES = {"card_testing": 0.93, "account_takeover": 0.71, "structuring": 0.42, "mule_network": 0.58}

ATTACKS = (
    {"label": "card_testing", "start_s": 7200.0, "end_s": 10_800.0},
    {"label": "account_takeover", "start_s": 52_000.0, "end_s": 58_000.0},
)

SCENARIO = {
    "name": "demo",
    "title": "A day with two attacks",
    "description": "Made up.",
    "currency": "USD",
    "goals": [
        {"metric": "drops", "statistic": "", "comparison": "==", "bound": 0, "bound_text": "0"},
        {"metric": "response_time", "statistic": "p99", "comparison": "<", "bound": 5000, "bound_text": "5s"},
    ],
}

HOSTILE = '<img src=x onerror="document.title=\'owned\'"></script>&"'


class ManualClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def planned_tps(sim_s: float) -> float:
    """Offered rate of the made-up day: quiet nights, a lunch peak."""
    hour = sim_s % DAY_S / 3600
    return 12 + 70 * math.exp(-(((hour - 13) / 4) ** 2)) + 25 * math.exp(-(((hour - 19) / 2) ** 2))


class DemoView(DemoLists):
    """Implements `web_ext.run_view.RunView`.  ``speed`` is simulated seconds per second of ``clock``."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        speed: float = 600.0,
        duration_s: float = DAY_S,
        state: str = "running",
        report_dir: Path | None = None,
        customer: str = "Ana Martinez",
        opening_s: float = 0.0,
        dashboard: dict[str, Any] | None = None,
        merchant: str = "Blue Door Books",
    ) -> None:
        super().__init__()
        self.dashboard = DASHBOARD | (dashboard or {})
        self._merchant = merchant
        self._clock = clock
        self._started_s = clock()
        self._opening_s = opening_s
        self._duration_s = duration_s
        self._speed = speed
        self._state = state
        self._report_dir = report_dir
        self._customer = customer
        self._random = random.Random(7)
        self._sim_s = 0.0
        self._last_s = self._started_s + opening_s
        self._points: list[dict[str, Any]] = []
        self._items: list[dict[str, Any]] = []
        self._counts = dict.fromkeys(("tp", "fp", "tn", "fn"), 0)
        self._by_typology = {name: [0, 0] for name in TYPOLOGIES}
        scale = ScoreScale()
        self.bins = {"fraud": scale.counts(), "genuine": scale.counts()}
        self._offered = self._achieved = 0.0
        self.controls: list[tuple[str, Any]] = []
        self.failing: Exception | None = None

    # -- the interface

    def status(self) -> dict[str, Any]:
        self._catch_up()
        now_s = self._clock()
        idle = self._state == "idle"
        opened = min(500, int(500 * (now_s - self._started_s) / self._opening_s)) if self._opening_s else 500
        opening = self._state == "running" and opened < 500
        return {
            "state": "opening" if opening else self._state,
            "message": "",
            "run_id": None if idle else "20260105-000000-demo",
            "scenario": SCENARIO,
            "mode": "dry run",
            "seed": 7,
            "speed": self._speed,
            "sim_s": self._sim_s,
            "duration_s": self._duration_s,
            "sim_time": (START_AT + timedelta(seconds=self._sim_s)).isoformat(),
            "wall_s": 0.0 if idle else now_s - self._started_s,
            "progress": self._sim_s / self._duration_s,
            "opening": {"done": opened, "total": 500} if opening else None,
            "targets": [dict(target) for target in TARGETS],
            "report": self._report() if self._state == "finished" else None,
            "users": 0 if idle else 40,
            "selected": self.selected,
            "dashboard": self.dashboard,
        }

    def snapshot(self) -> dict[str, Any]:
        self._catch_up()
        counts = self._counts
        frauds = counts["tp"] + counts["fn"]
        genuine = counts["fp"] + counts["tn"]
        recall = counts["tp"] / frauds if frauds else None
        low, high = wilson(counts["tp"], frauds)
        sent = int(self._achieved)
        failed = sent // 260
        return {
            "transactions": {
                "offered": int(self._offered),
                "sent": sent,
                "completed": max(0, sent - failed - sent // 900),
                "refused": sent // 90,
                "failed": failed,
                "unknown": sent // 900,
                "dropped": int(self._offered) - sent,
                "in_flight": 3 if self._state == "running" else 0,
            },
            "rate": {
                "offered_tps": self._points[-1]["offered_tps"] if self._points else None,
                "achieved_tps": self._points[-1]["achieved_tps"] if self._points else None,
                "peak_tps": max((point["achieved_tps"] for point in self._points), default=None),
                "achieved_share": self._achieved / self._offered if self._offered else None,
            },
            "fraud": {"transactions": frauds, "by_typology": self._typologies()},
            "detection": {
                "recall": recall,
                "recall_low": low,
                "recall_high": high,
                "false_positive_rate": counts["fp"] / genuine if genuine else None,
                "false_positives_per_10000": 10_000 * counts["fp"] / genuine if genuine else None,
                "precision": counts["tp"] / (counts["tp"] + counts["fp"]) if counts["tp"] else None,
                "alert_rate": None,
                "coverage": 0.994 if sent else None,
                "confusion": dict(counts),
                "value_cents": 40_000 * frauds,
                "caught_cents": 40_000 * counts["tp"],
                "false_alert_cost_cents": 500,
                "net_savings_cents": 40_000 * counts["tp"] - 500 * counts["fp"] if frauds else None,
            },
            "latency_ms": {
                "response": {"p50": 41.2, "p95": 120.5, "p99": self._p99(), "count": sent},
                "nexum": {"p50": 12.1, "p95": 38.0, "p99": 92.3, "count": sent},
                "bastion": {"p50": 28.4, "p95": 81.0, "p99": float("nan"), "count": sent},
                "lag": {"p50": 0.4, "p95": 3.2, "p99": 11.8, "count": sent},
            },
            "response_ranges": {
                "fast_ms": 80.0,
                "slow_ms": 120.0,
                "fast": sent - 2 * failed,
                "middle": failed,
                "slow": 0,
                "failed": failed,
            },
            "errors": errors(failed),
            "calls": [],
            "scores": {"histogram": histogram(self.bins)},
        }

    def timeline(self, since: int = 0) -> dict[str, Any]:
        self._catch_up()
        return {"next": len(self._points), "points": self._points[since:]}

    def windows(self) -> dict[str, Any]:
        hours = range(0, int(self._duration_s), 3600)
        return {
            "predicted": [{"start_s": s, "end_s": s + 3600, "tps": planned_tps(s + 1800)} for s in hours],
            "attacks": [dict(attack) for attack in ATTACKS if attack["start_s"] < self._duration_s],
            "faults": [{"label": "bank hangs", "start_s": 30_000, "end_s": 33_000}],
            "business_hours": [{"start_s": 28_800, "end_s": 64_800}],
        }

    def feed(self, since: int) -> dict[str, Any]:
        self._catch_up()
        if self.failing is not None:
            raise self.failing
        shown = {"sampled": len(self._items), "seen": int(self._achieved)}
        return {"next": len(self._items), "shown_of": shown, "items": self._items[since:][-200:]}

    def control(self, action: str, value: Any | None) -> dict[str, Any]:
        self._catch_up()
        self.controls.append((action, value))
        if self._state in ("idle", "finished"):
            raise BanksimError(f"Cannot {action}: no run is going on.")
        if action == "speed":
            self._speed = float(value or 1.0)
        else:
            self._state = {"pause": "paused", "resume": "running", "stop": "finished"}[action]
        return {"state": self._state, "speed": self._speed}

    def report_file(self, run_id: str, name: str) -> Path | None:
        return self._report_dir / run_id / name if self._report_dir else None

    def begin(self) -> None:
        """The same day again, from its morning."""
        self._state, self._sim_s = "running", 0.0
        self._started_s = self._last_s = self._clock()

    # -- the made-up day

    def _catch_up(self) -> None:
        now_s = self._clock()
        while now_s - self._last_s >= 1.0:
            self._last_s += 1.0
            if self._state == "running":
                self._second(self._last_s - self._started_s)

    def _second(self, wall_s: float) -> None:
        self._sim_s = min(self._duration_s, self._sim_s + self._speed)
        predicted = planned_tps(self._sim_s)
        attacked = [a for a in ATTACKS if a["start_s"] <= self._sim_s < a["end_s"]]
        offered = predicted * (1.35 if attacked else 1.0) * self._random.uniform(0.95, 1.05)
        achieved = offered * self._random.uniform(0.9 if attacked else 0.98, 1.0)
        self._offered += offered
        self._achieved += achieved
        frauds = alerts = 0
        for _ in range(12):
            fraud, alert = self._transaction(attacked)
            frauds += fraud
            alerts += alert
        self._points.append(
            {
                "wall_s": wall_s,
                "sim_s": self._sim_s,
                "offered_tps": offered,
                "achieved_tps": achieved,
                "predicted_tps": predicted,
                "fraud": frauds,
                "alerts": alerts,
                "p99_ms": 140 + 3 * achieved + self._random.uniform(0, 90),
                "fraud_alerted": min(frauds, alerts),
                "false_alerts": max(0, alerts - frauds),
                "nexum_p50_ms": 12.0,
                "nexum_p95_ms": 40.0,
                "nexum_p99_ms": 92.0,
                "cpu_percent": 23.0,
                "rss_bytes": 3e8,
            }
        )
        if self._sim_s >= self._duration_s:
            self._state = "finished"

    def _transaction(self, attacked: list[dict[str, Any]]) -> tuple[bool, bool]:
        rng = self._random
        fraud = rng.random() < (0.3 if attacked else 0.01)
        typology = (attacked[0]["label"] if attacked else rng.choice(list(TYPOLOGIES))) if fraud else ""
        decoy = not fraud and rng.random() < 0.02
        caught = rng.random() < (TYPOLOGIES[typology] if fraud else 0.2 if decoy else 0.004)
        self._counts[("tp" if caught else "fn") if fraud else ("fp" if caught else "tn")] += 1
        if fraud:
            self._by_typology[typology][0] += 1
            self._by_typology[typology][1] += caught
        score = rng.uniform(0.7, 1.0) if caught else rng.uniform(0.0, 0.5) ** 1.5
        self.bins["fraud" if fraud else "genuine"].add(score, 40_000)
        self._items.append(
            {
                "seq": len(self._items),
                "transaction_id": f"00000000-0000-4000-8000-{len(self._items):012d}",
                "sim_time": (START_AT + timedelta(seconds=self._sim_s)).isoformat(),
                "customer": self._customer,
                "kind": rng.choice(["purchase", "transfer", "withdrawal", "bill_payment"]),
                "amount": f"{rng.lognormvariate(3.5, 1.1):.2f}",
                "currency": "USD",
                "merchant": rng.choice(["Corner Grocery", "Metro Fuel", self._merchant, None]),
                "channel": rng.choice(["pos", "online", "mobile", "atm"]),
                "score": None if rng.random() < 0.01 else round(score, 3),
                "reasons": ["velocity"] if caught else [],
                "decision": ("block" if score > 0.85 else "review") if caught else "approve",
                "truth": "fraud" if fraud else "decoy" if decoy else "genuine",
                "typology": typology or ("holiday_trip" if decoy else ""),
                "bank": "posted" if rng.random() > 0.02 else "refused",
                "response_ms": rng.lognormvariate(3.8, 0.5),
            }
        )
        return fraud, caught

    def _typologies(self) -> dict[str, Any]:
        found = {}
        for name, (count, alerted) in self._by_typology.items():
            if count:
                low, high = wilson(alerted, count)
                found[name] = {
                    "transactions": count,
                    "alerted": alerted,
                    "recall": alerted / count,
                    "recall_low": low,
                    "recall_high": high,
                }
        return found

    def _p99(self) -> float | None:
        return self._points[-1]["p99_ms"] if self._points else None

    def _report(self) -> str | None:
        return "/banksim/report/20260105-000000-demo/report.html"
