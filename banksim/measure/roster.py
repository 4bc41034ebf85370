"""Many processes' states, added up.

States are cumulative, so the newest of each process is all that counts, and a lost or
doubled message does no harm.  Only the timeline comes in parts (buckets since some moment);
the roster keeps each process's buckets and lays newer ones over them.

A process that has left keeps its last state: what it counted did happen.
Bound: ``max_processes``; states of further ones are refused and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from banksim.measure.measures import Measures, MeasureSettings


class Roster:
    """The newest state of each process."""

    def __init__(self, settings: MeasureSettings, max_processes: int = 1_000) -> None:
        self._settings = settings
        self._max_processes = max_processes
        self._states: dict[str, dict[str, Any]] = {}
        self._buckets: dict[str, dict[int, Any]] = {}
        self.refused = 0

    def update(self, process: str, state: Mapping[str, Any]) -> None:
        """Take a state made by `Measures.to_state`; the caller drops states older than the last."""
        known = self._states.get(process)
        if known is None and len(self._states) >= self._max_processes:
            self.refused += 1
            return
        interval_s = state["timeline"]["interval_s"]
        kept = self._buckets.setdefault(process, {})
        if known is not None and known["timeline"]["interval_s"] != interval_s:
            kept = self._buckets[process] = self._coarsened(known["timeline"]["interval_s"], kept, interval_s)
        kept.update((index, values) for index, values in state["timeline"]["buckets"])
        books = state.get("books") or (known or {}).get("books")
        self._states[process] = {**state, **({"books": books} if books else {})}

    def total(self, timeline_from_s: float = 0.0) -> Measures:
        """Everything added up; timeline buckets that ended by ``timeline_from_s`` left out."""
        merged = Measures(self._settings)
        for process, state in self._states.items():
            interval_s = state["timeline"]["interval_s"]
            buckets = [
                [index, values]
                for index, values in self._buckets[process].items()
                if (index + 1) * interval_s > timeline_from_s
            ]
            merged.merge({**state, "timeline": {"interval_s": interval_s, "buckets": buckets}})
        return merged

    def _coarsened(self, old_s: float, buckets: dict[int, Any], new_s: float) -> dict[int, Any]:
        timeline = Measures(self._settings).timeline
        timeline.merge_state({"interval_s": new_s, "buckets": []})
        timeline.merge_state({"interval_s": old_s, "buckets": list(buckets.items())})
        return {index: bucket.to_state() for index, bucket in timeline.buckets.items()}
