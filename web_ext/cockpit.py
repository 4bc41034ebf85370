"""What the pages need of a run: one narrow interface between the engine and the web.

The engine (on the master, or alone) provides it; nothing in this folder knows how.  Every
method answers from memory and at once, since it runs on the process that also drives the
load.  Answers are plain JSON-able values; any number may be None, which means "no data yet"
and is never shown as 0.

Points and feed items are numbered from 0 within a run: `timeline(since)` and `feed(since)`
return what is numbered ``since`` or later, oldest first, and ``next`` for the next call.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from banksim.measure.results import Results, Snapshot

#: What `Cockpit.status` may say under "state".
STATES = ("idle", "opening", "running", "paused", "draining", "finished", "failed")

#: What `Cockpit.control` understands.
ACTIONS = ("pause", "resume", "stop", "speed")

#: Speed limits of a run, in simulated seconds per wall second.
MIN_SPEED = 0.1
MAX_SPEED = 10_000.0


#: Bounds of the pages' update interval in wall seconds, whatever a scenario says.
MIN_REFRESH_S, MAX_REFRESH_S = 0.1, 60.0


def refresh_s(status: Mapping[str, Any]) -> float:
    """Wall seconds between two updates, as the scenario's dashboard block has it; 1 by default."""
    wanted_ms = (status.get("dashboard") or {}).get("refresh_rate_ms") or 1000
    return float(min(MAX_REFRESH_S, max(MIN_REFRESH_S, wanted_ms / 1000)))


class Cockpit(Protocol):
    """One run, seen and steered from a page."""

    def status(self) -> dict[str, Any]:
        """Where the run is.

        Keys: state (one of `STATES`), message, run_id, scenario {name, title, description, currency}, mode,
        seed, speed, sim_s, duration_s, sim_time (ISO 8601), wall_s, progress (0..1), opening {done, total}
        or None, targets [{name, url, ok, detail, latency_ms}], report (address or None), users, workers
        (None, or [{number, host, pid, standing, share, cpu_percent, rss_bytes}]), selected (the scenario of
        the next start), dashboard (the scenario's block: theme, refresh_rate_ms, …).
        """
        ...

    def snapshot(self) -> Snapshot | None:
        """The figures so far, with the verdict on them; None before the first run."""
        ...

    def timeline(self, since: int = 0) -> dict[str, Any]:
        """Rates over time: {"next", "points": [{wall_s, sim_s, offered_tps, achieved_tps,
        predicted_tps, fraud, alerts, p99_ms}]}.
        """
        ...

    def windows(self) -> dict[str, Any]:
        """What the scenario plans, in simulated seconds since the start: {"predicted": [{start_s, end_s,
        tps}], "attacks": [{label, start_s, end_s}], "faults": [{label, start_s, end_s}],
        "business_hours": [{start_s, end_s}]}.
        """
        ...

    def feed(self, since: int) -> dict[str, Any]:
        """The last transactions: {"next", "shown_of": {sampled, seen}, "items": [{seq, transaction_id,
        sim_time, customer, kind, amount, currency, merchant, channel, score, decision, truth, typology,
        bank, response_ms}]}.
        """
        ...

    def control(self, action: str, value: Any | None) -> dict[str, Any]:
        """Do one of `ACTIONS`.  Raises BanksimError, with a sentence for people, when it cannot now."""
        ...

    def schedule(self) -> dict[str, Any]:
        """`windows`, and beside them "campaigns" [{campaign, label, typology, size, begun, start_s, end_s,
        transactions, alerted, first_alert_s}], "campaigns_total", "events" [{sim_s, kind, text}].
        """
        ...

    def scenarios(self) -> dict[str, Any]:
        """{"scenarios": [{name, title, description, duration_hours, speed, wall_s, customers, peak_tps,
        transactions, fraud_rate, typologies}], "broken": [{name, error}], "selected", "mode"}.
        """
        ...

    def start(self, options: Mapping[str, str], switch: bool = False) -> dict[str, Any]:
        """Start a run with options as Locust's form has them; ``switch`` ends the one under way first.
        Raises BanksimError, and then nothing has changed.
        """
        ...

    def select(self, name: str) -> dict[str, Any]:
        """Take a scenario for the next start.  Raises BanksimError when it does not load."""
        ...

    def results(self) -> Results | None:
        """The last run's results.json, with "partial" while it goes on; None before the first run."""
        ...

    def runs(self) -> list[dict[str, Any]]:
        """Runs in the report folder, newest first: run_id, files [{name, bytes}] and figures to compare."""
        ...

    def report_file(self, run_id: str, name: str) -> Path | None:
        """A file a finished run left, or None."""
        ...
