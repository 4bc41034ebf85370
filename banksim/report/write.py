"""A run's folder: results.json first, since everything else can be made from it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from banksim.measure.figures import TimelinePoint
from banksim.measure.results import FeedItem, Results, ThresholdRow, Word, encode
from banksim.measure.verdicts import NOT_JUDGED
from banksim.model import ReportFolderError
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
