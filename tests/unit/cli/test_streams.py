"""Chores in unfriendly places: encodings without our letters, readers that leave, no stdout at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.commands import ROOT, environment

DEMO = str(ROOT / "scenarios" / "demo.yaml")
CHORES = [("scenarios",), ("validate", DEMO), ("schema",), ("schema", "--markdown")]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-16"])
@pytest.mark.parametrize("chore", CHORES, ids=lambda chore: " ".join(chore)[:18])
def test_any_encoding_will_do(chore: tuple[str, ...], encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "banksim", *chore],
        env=environment(PYTHONIOENCODING=encoding),
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr[-500:]


@pytest.mark.parametrize("chore", CHORES, ids=lambda chore: " ".join(chore)[:18])
def test_a_reader_who_leaves_ends_nothing(chore: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "banksim", *chore],
            stdout=pipe,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd=ROOT,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_any_stdout(tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m banksim scenarios >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment(), stderr=subprocess.PIPE, cwd=tmp_path, check=False
    )
    assert b"Traceback" not in done.stderr
