"""Runs that left their results in the report folder, newest first, each in one row.

A row is read from the run's results.json in a thread and kept until that file changes.
Bound: the newest MAX_RUNS folders are looked at; larger results than MAX_BYTES are listed
by name only.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import gevent

logger = logging.getLogger(__name__)

MAX_RUNS = 60
MAX_BYTES = 50_000_000

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")


class PastRuns:
    """Rows of one report folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, tuple[float, dict[str, Any]]] = {}

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = gevent.get_hub().threadpool.apply(self._read)
        return rows

    def path(self, run_id: str, name: str) -> Path | None:
        """A plain file directly in a run's folder, or None."""
        root = self._folder.resolve()
        path = (root / run_id / name).resolve()
        return path if path.parent.parent == root and path.is_file() else None

    def _read(self) -> list[dict[str, Any]]:
        found = []
        for folder in self._newest():
            results = folder / "results.json"
            changed_s = results.stat().st_mtime
            known = self._rows.get(folder.name)
            if known is None or known[0] != changed_s:
                known = (changed_s, _row(folder, results))
            found.append((folder.name, known))
        self._rows = dict(found)
        return [row for _, (_, row) in found]

    def _newest(self) -> list[Path]:
        try:
            folders = [
                path
                for path in self._folder.iterdir()
                if RUN_ID.fullmatch(path.name) and (path / "results.json").is_file()
            ]
        except OSError:
            return []
        # A run's name begins with its moment, so the names sort by time.
        return sorted(folders, key=lambda path: path.name, reverse=True)[:MAX_RUNS]


def _row(folder: Path, path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run_id": folder.name, "files": files_of(folder)}
    try:
        if path.stat().st_size > MAX_BYTES:
            return row | {"problem": "its results are too large to list"}
        return row | summary(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return row | {"problem": "its results cannot be read"}


def files_of(folder: Path) -> list[dict[str, Any]]:
    """Name and size of what a run left."""
    return [
        {"name": path.name, "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.is_file() and RUN_ID.fullmatch(path.name)
    ]


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """The figures two runs are compared by."""
    run, found, counts = results["run"], results["detection"], results["transactions"]
    ended = sum(counts[name] for name in ("completed", "failed", "unknown"))
    scenario = run.get("scenario") or {}
    thresholds = results.get("thresholds") or []
    return {
        "scenario": scenario.get("name"),
        "title": scenario.get("title"),
        "started_at": run.get("started_at"),
        "end": run.get("end"),
        "mode": run.get("mode"),
        "seed": run.get("seed"),
        "speed": run.get("speed"),
        "wall_s": run.get("wall_s"),
        "simulated_s": run.get("simulated_s"),
        "customers": run.get("customers"),
        "transactions": ended,
        "offered": counts["offered"],
        "dropped": counts["dropped"],
        "error_share": (counts["failed"] + counts["unknown"]) / ended if ended else None,
        "peak_tps": results["rate"].get("peak_tps"),
        "achieved_tps": results["rate"].get("achieved_tps"),
        "p50_ms": results["latency_ms"]["response"]["p50"],
        "p99_ms": results["latency_ms"]["response"]["p99"],
        "fraud": results["fraud"]["transactions"],
        "recall": found["recall"],
        "recall_low": found.get("recall_low"),
        "recall_high": found.get("recall_high"),
        "precision": found["precision"],
        "false_positive_rate": found["false_positive_rate"],
        "coverage": found["coverage"],
        "thresholds": len(thresholds),
        "thresholds_failed": sum(not row.get("passed") for row in thresholds),
    }
