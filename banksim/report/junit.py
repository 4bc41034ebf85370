"""junit.xml: a run as a pipeline's test page shows it.

One test case for the run itself and one for each threshold:

    run        passed; an error when the run was interrupted or failed
    threshold  passed, or a failure with the reason in words

A run without thresholds still has a case, since some pipelines take a file without any for
a fault.  Times are wall seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

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
