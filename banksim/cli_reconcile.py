"""`banksim reconcile RUN`: did the bank lose, double or invent money?

Tells the verdict of the run, and, when its books were kept and its bank still answers, asks
the bank again for every account.  Whoever used those accounts since will show, of course.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from banksim.domain import ExitCode
from banksim.report.reconciled import account_lines, headline

#: Where runs are looked for by their id.
DEFAULT_REPORT_DIR = Path("reports")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's folder, its results.json, or its id")
    parser.add_argument(
        "--report-dir",
        type=Path,
        default=DEFAULT_REPORT_DIR,
        metavar="DIR",
        help="folder in which ids are looked up (default %(default)s)",
    )
    parser.add_argument("--offline", action="store_true", help="only tell the verdict of the run")


def run(options: argparse.Namespace) -> int:
    """Exit code 0 when the latest look says balanced, else 1.  Raises UsageError for what is no run."""
    # Imported here: it brings the charts along, which take half a second to load.
    from banksim.report.saved import read_results, results_path

    path = Path(options.run)
    if not path.exists() and (options.report_dir / options.run).exists():
        path = options.report_dir / options.run
    results = read_results(path)
    currency = str(results["run"].get("currency", "USD"))
    found = results.get("reconciliation")
    _tell("After the run", found, currency)
    if not options.offline:
        found = _look_again(results_path(path).parent, found)
    balanced = bool(found and found.get("balanced"))
    return int(ExitCode.COMPLETED if balanced else ExitCode.ERROR)


def _look_again(folder: Path, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """What the bank says now, or ``before`` when it cannot be asked."""
    # Imported here: it brings the clients along, which --offline does without.
    from banksim.engine.reconciling import ask_again, load_books

    kept = load_books(folder)
    if kept is None:
        print("Now: no books were kept beside this run (only runs against live targets keep them).")
        return before
    found = ask_again(kept)
    if isinstance(found, str):
        print(f"Now: the bank cannot be asked again: {found}")
        return before
    _tell(f"Now, at {kept.nexum_url}", found, kept.currency)
    return found


def _tell(when: str, found: dict[str, Any] | None, currency: str) -> None:
    print(f"{when}: {headline(found, currency)}")
    for line in account_lines(found, currency) if found else ():
        print(f"  {line}")
