"""The commands that read finished runs: `banksim report` and `banksim compare`.

What they need is imported when they run: charts take half a second to load, and the other
commands do without.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from banksim.measure.figures import Reconciliation
from banksim.model import ExitCode, UsageError
from banksim.report.console import account_lines, headline

# -- `banksim reconcile RUN`: did the bank lose, double or invent money? -----------------------------
#
# Prints the verdict of the run, and, when its expected balances were saved and its bank still answers,
# reads every account again.  Movements by others since the run show as differences.


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
    parser.add_argument("--offline", action="store_true", help="only print the verdict of the run")


def run(options: argparse.Namespace) -> int:
    """Exit code 0 when the latest look says balanced, else 1.  Raises UsageError for what is no run."""
    # Imported here: it brings the charts along, which take half a second to load.
    from banksim.report.write import read_results, results_path

    path = Path(options.run)
    if not path.exists() and (options.report_dir / options.run).exists():
        path = options.report_dir / options.run
    results = read_results(path)
    currency, found = results.run.currency, results.reconciliation
    _print_verdict("After the run", found, currency)
    if not options.offline:
        found = _look_again(results_path(path).parent, found)
    balanced = found is not None and bool(found.balanced)
    return int(ExitCode.COMPLETED if balanced else ExitCode.ERROR)


def _look_again(folder: Path, before: Reconciliation | None) -> Reconciliation | None:
    """What the bank says now, or ``before`` when it cannot be asked."""
    # Imported here: it brings the clients along, which --offline does without.
    from banksim.run.reconcile import ask_again, load_books

    kept = load_books(folder)
    if kept is None:
        print(
            "Now: no expected balances were saved with this run (only runs against live targets save them)."
        )
        return before
    found = ask_again(kept)
    if isinstance(found, str):
        print(f"Now: the bank cannot be asked again: {found}")
        return before
    _print_verdict(f"Now, at {kept.nexum_url}", found, kept.currency)
    return found


def _print_verdict(when: str, found: Reconciliation | None, currency: str) -> None:
    print(f"{when}: {headline(found, currency)}")
    for line in account_lines(found, currency) if found else ():
        print(f"  {line}")


RUN_HELP = "a run's folder, or its results.json"


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """Options of `banksim report`."""
    parser.add_argument("run", type=Path, metavar="RUN", help=RUN_HELP)
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="also print it to a PDF (needs Chromium)")
    parser.add_argument(
        "--png", type=Path, metavar="FOLDER", help="also save every chart as PNG (needs Chromium)"
    )


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """Options of `banksim compare`."""
    parser.add_argument("a", type=Path, metavar="A", help=f"the run to compare with: {RUN_HELP}")
    parser.add_argument("b", type=Path, metavar="B", help="the run in question")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="where to write the page (default: compare.html next to B's results)",
    )
    parser.add_argument(
        "--fail-on-regression",
        action="store_true",
        help="exit with 99 when a judged figure got worse by more than its tolerance and chance",
    )
    parser.add_argument(
        "--gate",
        default="recall,coverage,errors,money",
        metavar="NAMES",
        help="figures to judge, with commas between (default %(default)s; also campaign_recall, precision, "
        "false_positives, latency)",
    )
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="also write the comparison as Markdown, for a job summary",
    )


def run_report(options: argparse.Namespace) -> int:
    """Write report.html again, and what else is asked for.  Raises BanksimError."""
    from banksim.report.write import find_browser, print_pdf, render_again, save_pngs

    if options.pdf or options.png:
        find_browser()  # say so before anything is written
    page = render_again(options.run)
    print(f"Report: {page}")
    if options.pdf:
        print_pdf(page, options.pdf)
        print(f"PDF: {options.pdf}")
    if options.png:
        print(f"PNG: {len(save_pngs(page, options.png))} charts in {options.png}")
    return int(ExitCode.COMPLETED)


def run_compare(options: argparse.Namespace) -> int:
    """Compare two runs on the console and as a page.  Raises BanksimError."""
    from banksim.report.compare import GATES, compare_runs
    from banksim.report.html import comparison_markdown, comparison_text, render_comparison
    from banksim.report.write import read_results, results_path, write_whole

    gates = [name.strip() for name in options.gate.split(",")]
    if unknown := [name for name in gates if name not in GATES]:
        raise UsageError(f"--gate: unknown {', '.join(unknown)}; known: {', '.join(GATES)}")
    comparison = compare_runs(read_results(options.a), read_results(options.b), gates)
    page = options.html or results_path(options.b).with_name("compare.html")
    write_whole(page, render_comparison(comparison))
    print(comparison_text(comparison), end="")
    print(f"Page: {page}")
    if options.markdown:
        write_whole(options.markdown, comparison_markdown(comparison))
        print(f"Markdown: {options.markdown}")
    failed = options.fail_on_regression and comparison.regressions
    return int(ExitCode.THRESHOLD_FAILED if failed else ExitCode.COMPLETED)
