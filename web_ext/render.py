"""A run's report as PDF, and its charts as PNG files in one archive, made when somebody asks.

A Chromium without a window does the drawing, as for `banksim report --pdf`; it is a process of its
own that is waited for without holding up the load.  Files are written beside the report and
made again only when the report has changed.  One at a time: drawing takes some seconds of a core.
"""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from banksim.domain import BanksimError
from banksim.report.browser import print_pdf, save_pngs

PDF: Final = "report.pdf"
CHARTS: Final = "charts.zip"

_drawing = threading.Lock()


def rendered(report: Path, kind: str) -> Path:
    """The file of ``kind`` ("pdf" or "png") beside ``report``.  Raises BanksimError."""
    name, make = (PDF, print_pdf) if kind == "pdf" else (CHARTS, _save_charts)
    target = report.with_name(name)
    if target.is_file() and target.stat().st_mtime >= report.stat().st_mtime:
        return target
    if not _drawing.acquire(blocking=False):
        raise BanksimError("Another report is being drawn. Try again in a few seconds.")
    try:
        _make_whole(make, report, target)
    except OSError as error:
        raise BanksimError(f"{name} could not be written: {error.strerror or error}.") from error
    finally:
        _drawing.release()
    return target


def _make_whole(make: Callable[[Path, Path], object], report: Path, target: Path) -> None:
    """A reader never sees half of a file: it is made elsewhere and moved."""
    with tempfile.TemporaryDirectory(dir=report.parent, prefix=".drawing-") as folder:
        made = Path(folder) / target.name
        make(report, made)
        made.replace(target)


def _save_charts(report: Path, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="banksim-charts-") as folder:
        files = save_pngs(report, Path(folder))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
            for file in files:
                archive.write(file, file.name)
