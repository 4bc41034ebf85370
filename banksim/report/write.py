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
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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


def timeline_csv(results: Mapping[str, Any]) -> str:
    points = results["timeline"]
    columns = list(points[0]) if points else ["wall_s", "sim_s", "length_s"]
    return as_csv(columns, points)


def detection_csv(results: Mapping[str, Any]) -> str:
    """One row per typology and kind of decoy; an alert on a decoy is a false one."""
    rows = []
    for kind, groups, name in (
        ("fraud", results["fraud"]["by_typology"], "recall"),
        ("decoy", results["fraud"]["decoys"], "false_positive_rate"),
    ):
        for typology, row in groups.items():
            ends = {f"alerted_share{end}": row[f"{name}{end}"] for end in ("", "_low", "_high")}
            rows.append({"kind": kind, "typology": typology, **row, **ends})
    return as_csv(DETECTION_COLUMNS, rows)


def errors_csv(results: Mapping[str, Any]) -> str:
    """One row per call and error text, most frequent first; without errors only the head."""
    return as_csv(("target", "call", "error", "count"), results["errors"])


def feed_csv(feed: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in feed for key in row))
    return as_csv(columns, feed)


# -- junit.xml: a run as a pipeline's test page shows it --------------------------------------------
#
# One test case for the run itself and one for each threshold:
#
#     run        passed; an error when the run was interrupted or failed
#     threshold  passed, or a failure with the reason in words
#
# A run without thresholds still has a case, since some pipelines take a file without any for
# a fault.  Times are wall seconds.


#: What XML 1.0 cannot hold, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

#: Ends at which the figures are those that were asked for; the thresholds speak about the rest.
ORDERLY_ENDS = ("completed", "stopped", "aborted")


def junit_xml(results: Mapping[str, Any]) -> str:
    """The file's text, from the dictionary of results.json."""
    run = results["run"]
    name = f"banksim.{run['scenario']['name']}"
    ended_well = run["end"] in ORDERLY_ENDS
    thresholds = results["thresholds"]
    failures = sum(not row["passed"] for row in thresholds)
    counts = {
        "tests": str(1 + len(thresholds)),
        "failures": str(failures),
        "errors": "0" if ended_well else "1",
        "time": f"{run['wall_s']:.3f}",
    }
    suites = ElementTree.Element("testsuites", {"name": "banksim", **counts})
    suite = ElementTree.SubElement(suites, "testsuite")
    suite.attrib.update({"name": _text(name), **counts, "skipped": "0"})
    if "started_at" in run:
        suite.set("timestamp", _text(run["started_at"]))
    _properties(suite, run)
    case = ElementTree.SubElement(suite, "testcase", classname=_text(name), name="run", time=counts["time"])
    if not ended_well:
        ElementTree.SubElement(
            case, "error", type=_text(run["end"]), message=_text(f"the run was {run['end']}")
        )
    for row in thresholds:
        _threshold(suite, name, row)
    ElementTree.indent(suites)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"
    )


def _properties(suite: ElementTree.Element, run: Mapping[str, Any]) -> None:
    """What a reader needs to run the same again."""
    properties = ElementTree.SubElement(suite, "properties")
    values = {"run_id": run.get("run_id"), "scenario_hash": run["scenario"].get("hash")}
    values |= {name: run.get(name) for name in ("seed", "mode", "speed", "customers", "end")}
    for name, value in values.items():
        if value is not None:
            ElementTree.SubElement(properties, "property", name=name, value=_text(value))


def _threshold(suite: ElementTree.Element, name: str, row: Mapping[str, Any]) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_text(f"{name}.thresholds"), name=_text(row["expression"]), time="0"
    )
    if not row["passed"]:
        failure = ElementTree.SubElement(case, "failure", type="threshold", message=_text(row["reason"]))
        failure.text = _text(f"{row['expression']}\n{row['reason']}")
    elif row.get("measured"):
        ElementTree.SubElement(case, "system-out").text = _text(f"measured {row['measured']}")


def _text(value: object) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", str(value))


# -- Writing files so that a reader never sees half of one ------------------------------------------


def check_folder(folder: Path) -> None:
    """Make the folder and try a file in it, before a long run and not after.

    Raises ReportFolderError with one sentence when that fails.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
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


def write_report(
    folder: Path, results: Mapping[str, Any], feed: Sequence[Mapping[str, Any]] = (), csv: bool = True
) -> None:
    """Write results.json, junit.xml, report.html, and with ``csv`` timeline, detection and errors as CSV.

    feed.csv is there only if there is a feed.

    Raises ReportFolderError when the folder cannot be made or written.
    """
    check_folder(folder)
    write_whole(
        folder / "results.json", json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    write_whole(folder / "junit.xml", junit_xml(results))
    if csv:
        write_whole(folder / "timeline.csv", timeline_csv(results))
        write_whole(folder / "detection.csv", detection_csv(results))
        write_whole(folder / "errors.csv", errors_csv(results))
        if feed:
            write_whole(folder / "feed.csv", feed_csv(feed))
    write_whole(folder / "report.html", render_html(results, feed))
