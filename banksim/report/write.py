"""A run's folder: results.json first, since everything else can be made from it.

PDF and PNG of a report, printed by a Chromium without a window.

The browser is an extra: nothing else here needs it.  It opens only the report file, which
loads nothing from outside.  PDF comes from the browser's own printing; PNGs are drawn by the
page itself (report_export.js) and read from the page's text.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from banksim.measure.figures import TimelinePoint
from banksim.measure.results import SCHEMA, FeedItem, Results, ThresholdRow, Word, decode, encode
from banksim.measure.verdicts import NOT_JUDGED
from banksim.model import BanksimError, ReportFolderError, UsageError
from banksim.report.html import render_html

# -- timeline.csv, detection.csv, errors.csv and feed.csv: the figures for a spreadsheet ------------
#
# A spreadsheet runs a cell that begins with = + - @ as a formula.  Texts from outside
# (merchant names, error texts) may begin so; such a cell gets an apostrophe in front.


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

DETECTION_COLUMNS = (
    "kind",
    "typology",
    "transactions",
    "scored",
    "missing",
    "alerted",
    "alerted_share",
    "alerted_share_low",
    "alerted_share_high",
    "value_cents",
    "caught_cents",
)


def cell(value: Any) -> Any:
    """``value`` fit for a CSV cell: None is empty, a list is joined, text is never a formula."""
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return "'" + value
    return value


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([cell(column) for column in columns])
    for row in rows:
        writer.writerow([cell(row.get(column)) for column in columns])
    return text.getvalue()


def timeline_csv(results: Results) -> str:
    columns = [one.name for one in fields(TimelinePoint)]
    return as_csv(columns, map(encode, results.timeline))


def detection_csv(results: Results) -> str:
    """One row per typology and kind of decoy; an alert on a decoy is a false positive."""
    rows = []
    for kind, groups, name in (
        ("fraud", encode(results.fraud)["by_typology"], "recall"),
        ("decoy", encode(results.fraud)["decoys"], "false_positive_rate"),
    ):
        for typology, row in groups.items():
            ends = {f"alerted_share{end}": row[f"{name}{end}"] for end in ("", "_low", "_high")}
            rows.append({"kind": kind, "typology": typology, **row, **ends})
    return as_csv(DETECTION_COLUMNS, rows)


def errors_csv(results: Results) -> str:
    """One row per call and error text, most frequent first; without errors only the head."""
    return as_csv(("target", "call", "error", "count"), map(encode, results.errors))


def feed_csv(feed: Sequence[FeedItem]) -> str:
    return as_csv([one.name for one in fields(FeedItem)], map(encode, feed))


# -- junit.xml: a run as a pipeline's test page shows it --------------------------------------------
#
# One test case for the run, one for each word of the verdict, one for the balances, and one
# for each threshold:
#
#     run        passed; an error when the run was interrupted or failed, or nothing was measured
#     word       passed, a failure with its sentence, or skipped when it was not judged
#     balances   as the word Money
#     threshold  passed, or a failure with its reason
#
# Times are wall seconds.


#: What XML 1.0 cannot hold, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Ends at which the figures are those that were asked for; the thresholds speak about the rest.
ORDERLY_ENDS = ("completed", "stopped", "aborted")


def junit_xml(results: Results) -> str:
    """The file's text."""
    run, verdict = results.run, results.verdict
    name = f"banksim.{run.scenario.name}"
    root = ElementTree.Element("testsuites", {"name": "banksim"})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _text(name)})
    if run.started_at is not None:
        suite.set("timestamp", _text(run.started_at))
    _properties(suite, results)
    case = _case(suite, name, "run", f"{run.wall_s:.3f}")
    if run.end not in ORDERLY_ENDS:
        ElementTree.SubElement(case, "error", type=_text(run.end), message=_text(f"the run was {run.end}"))
    elif verdict.overall == NOT_JUDGED:
        ElementTree.SubElement(case, "error", type="not judged", message=_text(verdict.sentence))
    for word in verdict.words:
        _word(_case(suite, f"{name}.verdict", word.subject), word)
        if word.subject == "Money":
            _word(_case(suite, f"{name}.verdict", "balances"), word)
    for row in results.thresholds:
        _threshold(_case(suite, f"{name}.thresholds", row.expression), row)
    counts = {
        "tests": str(len(suite.findall("testcase"))),
        "failures": str(len(suite.findall("testcase/failure"))),
        "errors": str(len(suite.findall("testcase/error"))),
        "skipped": str(len(suite.findall("testcase/skipped"))),
        "time": f"{run.wall_s:.3f}",
    }
    root.attrib.update(counts)
    suite.attrib.update(counts)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _properties(suite: ElementTree.Element, results: Results) -> None:
    """What a reader needs to run the same again, and the verdict."""
    properties, run = ElementTree.SubElement(suite, "properties"), results.run
    values: dict[str, object] = {
        "run_id": run.run_id,
        "scenario_hash": run.scenario.hash,
        "seed": run.seed,
        "mode": run.mode,
    }
    values |= {"speed": run.speed, "customers": run.customers, "end": run.end}
    values |= {"verdict": results.verdict.overall}
    for name, value in values.items():
        if value is not None:
            ElementTree.SubElement(properties, "property", name=name, value=_text(value))


def _case(suite: ElementTree.Element, of: str, name: str, time: str = "0") -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=_text(of), name=_text(name), time=time)


def _word(case: ElementTree.Element, word: Word) -> None:
    if word.kind == "fail":
        failure = ElementTree.SubElement(case, "failure", type="verdict", message=_text(word.word))
        failure.text = _text(word.sentence)
    elif word.kind == "none":
        ElementTree.SubElement(case, "skipped", message=_text(word.sentence))
    else:
        ElementTree.SubElement(case, "system-out").text = _text(f"{word.word}: {word.sentence}")


def _threshold(case: ElementTree.Element, row: ThresholdRow) -> None:
    if not row.passed:
        failure = ElementTree.SubElement(case, "failure", type="threshold", message=_text(row.reason))
        failure.text = _text(f"{row.expression}\n{row.reason}")
    else:
        ElementTree.SubElement(case, "system-out").text = _text(f"measured {row.measured}")


def _text(value: object) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", str(value))


# -- Writing files so that a reader never sees half of one ------------------------------------------


#: Earlier runs among which the last one of the same scenario is looked for.
LOOKED_AT = 40


def check_folder(folder: Path) -> None:
    """Make the folder and try a file in it, before a long run and not after.

    Raises ReportFolderError with one sentence when that fails.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # names, balances and the truth are in it
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".write-test-"):
            pass
    except OSError as error:
        raise _refused(folder, error) from error


def write_whole(path: Path, text: str) -> None:
    """Write beside the target and rename: either the old file is there, or the whole new one.

    Raises ReportFolderError when the folder or the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # the folder itself may be gone or locked: the first error says so
            temporary.unlink(missing_ok=True)
        raise _refused(path.parent, error) from error


def _refused(folder: Path, error: OSError) -> ReportFolderError:
    why = error.strerror or type(error).__name__
    return ReportFolderError(f"cannot write the report to {folder}: {why} (choose another with --report-dir)")


def last_run(folder: Path, results: Results) -> dict[str, Any] | None:
    """results.json of the newest finished run of the same scenario beside this one; None without any.

    Looks at the newest LOOKED_AT runs.
    """
    earlier = (path for path in folder.resolve().parent.glob("*/results.json"))
    names = sorted((path for path in earlier if path.parent.name < folder.name), reverse=True)
    for path in names[:LOOKED_AT]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            same = (
                found["schema"] == results.schema
                and found["run"]["scenario"]["name"] == results.run.scenario.name
            )
            if same and found["tiles"] and found["run"]["run_id"] != results.run.run_id:
                return dict(found)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def write_report(folder: Path, results: Results, feed: Sequence[FeedItem] = (), csv: bool = True) -> None:
    """Write results.json, junit.xml, report.html, and with ``csv`` timeline, detection and errors as CSV.

    feed.csv is there only if there is a feed.

    Raises ReportFolderError when the folder cannot be made or written.
    """
    check_folder(folder)
    write_whole(
        folder / "results.json",
        json.dumps(encode(results), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    )
    write_whole(folder / "junit.xml", junit_xml(results))
    if csv:
        write_whole(folder / "timeline.csv", timeline_csv(results))
        write_whole(folder / "detection.csv", detection_csv(results))
        write_whole(folder / "errors.csv", errors_csv(results))
        if feed:
            write_whole(folder / "feed.csv", feed_csv(feed))
    write_whole(folder / "report.html", render_html(results, feed, last_run(folder, results)))


# -- Runs as they were saved: results.json, and the feed that was kept ------------------------------


def results_path(run: Path) -> Path:
    """results.json of a run given as its folder or as the file itself."""
    return run / "results.json" if run.is_dir() else run


def read_results(run: Path) -> Results:
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
    try:
        return decode(Results, results)
    except ValueError as error:
        raise UsageError(f"{path}: not the results of a banksim run: {error}") from None


def read_feed(run: Path) -> list[FeedItem]:
    """The kept feed beside results.json; empty when there is none.  Raises UsageError for any other file."""
    path = results_path(run).with_name("feed.csv")
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        try:
            return [_feed_item(row) for row in rows]
        except (KeyError, ValueError, csv.Error) as error:
            raise UsageError(f"{path}: not the feed of a run (line {rows.line_num}): {error}") from None


def render_again(run: Path) -> Path:
    """Write report.html anew from what was saved; its path.  Raises BanksimError."""
    target = results_path(run).with_name("report.html")
    results = read_results(run)
    write_whole(target, render_html(results, read_feed(run), last_run(target.parent, results)))
    return target


def _feed_item(row: dict[str, str]) -> FeedItem:
    """A row as it was before; an apostrophe in front only kept a cell from being a formula."""
    if None in row or None in row.values():  # so says csv of more cells or fewer than the head names
        raise ValueError("expected a cell for each column")
    plain = {
        name: text[1:] if text[:1] == "'" and text[1:2] in set("=+-@") else text for name, text in row.items()
    }
    reasons = plain["reasons"].split(", ") if plain["reasons"] else []
    numbers = {name: plain.get(name) or None for name in ("score", "account", "bank_ms", "detector_ms")}
    return decode(FeedItem, {**plain, **numbers, "reasons": reasons})


#: Looked for on the PATH, in this order.
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
TIMEOUT_S = 120.0
#: Milliseconds of the page's own time that drawing may take; the browser runs them as fast as it can.
DRAWING_MS = 20_000

_EXPORTED = re.compile(r'<script type="application/json" id="exported">(.*?)</script>', re.DOTALL)


class BrowserError(BanksimError):
    """No browser was found, or it did not do what was asked."""


def find_browser() -> str:
    """The path of a Chromium.  Raises BrowserError when there is none."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    raise BrowserError(
        "PDF and PNG need Chromium or Chrome, and none was found on the PATH. Install one, or open "
        "report.html in any browser: it prints, and every chart has a button that saves it as PNG."
    )


def print_pdf(page: Path, target: Path) -> None:
    """Print ``page`` to the PDF ``target``.  Raises BrowserError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    _run([f"--print-to-pdf={target.resolve()}", "--no-pdf-header-footer", page.resolve().as_uri()])
    if not target.is_file():
        raise BrowserError(f"The browser wrote no PDF to {target}.")


def save_pngs(page: Path, folder: Path) -> list[Path]:
    """Save every chart of ``page`` as PNG into ``folder``; the files.  Raises BrowserError."""
    found = _EXPORTED.search(_run(["--dump-dom", f"{page.resolve().as_uri()}?export=png&theme=light"]))
    if found is None:
        raise BrowserError("The browser drew no charts in time. Is this report.html of this version?")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, image in json.loads(found.group(1)).items():
        # The name comes from a file that may have been sent by others: never a path.
        target = folder / f"{re.sub(r'[^a-z0-9-]', '', name)}.png"
        target.write_bytes(base64.b64decode(image.removeprefix("data:image/png;base64,")))
        files.append(target)
    return files


def _run(arguments: Sequence[str]) -> str:
    """Run the browser with a profile of its own; what it printed."""
    with tempfile.TemporaryDirectory(prefix="banksim-browser-") as profile:
        command = [
            find_browser(),
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--virtual-time-budget={DRAWING_MS}",
            # Chromium's sandbox does not work for root, which is who one is in a container.
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            *arguments,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise BrowserError(f"The browser did not finish within {TIMEOUT_S:g} s.") from None
        except OSError as error:
            raise BrowserError(f"The browser could not be started: {error}.") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BrowserError(f"The browser ended with code {done.returncode}: {last}")
    return done.stdout
