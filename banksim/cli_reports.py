"""The commands that read finished runs: `banksim report` and `banksim compare`.

What they need is imported when they run: charts take half a second to load, and the other
commands do without.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from banksim.domain import ExitCode

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
        help="where to write the page (default: compare.html beside B's results)",
    )
    parser.add_argument(
        "--fail-on-regression",
        action="store_true",
        help="exit with 99 when a figure got worse by more than its tolerance and chance",
    )


def run_report(options: argparse.Namespace) -> int:
    """Write report.html anew, and what else is asked for.  Raises BanksimError."""
    from banksim.report.browser import find_browser, print_pdf, save_pngs
    from banksim.report.saved import render_again

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
    from banksim.report.compare import compare_runs
    from banksim.report.compare_html import render_comparison
    from banksim.report.compare_text import comparison_text
    from banksim.report.folder import write_whole
    from banksim.report.saved import read_results, results_path

    comparison = compare_runs(read_results(options.a), read_results(options.b))
    page = options.html or results_path(options.b).with_name("compare.html")
    write_whole(page, render_comparison(comparison))
    print(comparison_text(comparison), end="")
    print(f"Page: {page}")
    failed = options.fail_on_regression and comparison.regressions
    return int(ExitCode.THRESHOLD_FAILED if failed else ExitCode.COMPLETED)
