"""Runs as they were saved: results.json, and the feed that was kept."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from banksim.domain import UsageError
from banksim.report.folder import write_whole
from banksim.report.html import render_html
from banksim.report.results import SCHEMA


def results_path(run: Path) -> Path:
    """results.json of a run given as its folder or as the file itself."""
    return run / "results.json" if run.is_dir() else run


def read_results(run: Path) -> dict[str, Any]:
    """The results of a saved run.  Raises UsageError with one sentence when they cannot be used."""
    path = results_path(run)
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{run}: {error.strerror or error} (expected a run's folder or its results.json)"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None
    if not isinstance(results, dict) or not {"schema", "run", "detection"} <= set(results):
        raise UsageError(f"{path}: not the results of a banksim run")
    if results["schema"] != SCHEMA:
        raise UsageError(
            f"{path}: results of schema {results['schema']}, and this banksim reads schema {SCHEMA}"
        )
    return results


def read_feed(run: Path) -> list[dict[str, Any]]:
    """The kept feed rows beside results.json; empty when there are none."""
    path = results_path(run).with_name("feed.csv")
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def render_again(run: Path) -> Path:
    """Write report.html anew from what was saved; its path.  Raises BanksimError."""
    target = results_path(run).with_name("report.html")
    write_whole(target, render_html(read_results(run), read_feed(run)))
    return target


def _value(text: str | None) -> Any:
    """A CSV cell as it was before; an apostrophe in front only kept it from being a formula."""
    if not text:
        return None
    if text[0] == "'" and text[1:2] in "=+-@":
        return text[1:]
    try:
        number = float(text)
    except ValueError:
        return text
    return int(text) if text.isdigit() else number
