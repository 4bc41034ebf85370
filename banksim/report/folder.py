"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from banksim.domain import ReportFolderError


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
