"""One finished run, and one memory of commands, for all tests of the documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.rehearsal import rehearse, workspace


@pytest.fixture(scope="session")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, memory: Path) -> Path:
    """The folder of a run, for the commands that read one."""
    folder = tmp_path_factory.mktemp("rehearsed")
    (folder / "empty").mkdir()
    place = workspace(folder, folder / "empty")
    done = rehearse(
        place, memory, "locust -f locustfiles/banking.py --scenario fraud_attack --seed 7 --report-dir out"
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return next((place / "out").iterdir())
