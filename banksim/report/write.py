"""A run's folder: results.json first, since everything else can be made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from banksim.report.folder import check_folder, write_whole
from banksim.report.html import render_html
from banksim.report.junit import junit_xml
from banksim.report.tables import detection_csv, errors_csv, feed_csv, timeline_csv


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
