"""The wheel, as somebody who never saw the repository meets it: installed, in an empty folder.

Once for every Python that banksim supports and this machine has.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.integration.commands import ROOT, environment, free_port, results_in
from tests.pythons import RUNNING, SUPPORTED, find_python

#: What pip says when it cannot reach an index, and has not cached what it needs.
OFFLINE = ("No matching distribution", "Could not find a version", "NewConnectionError", "NameResolution")


def command(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def pip(*words: str | Path, cwd: Path) -> None:
    done = command(*words, cwd=cwd)
    if done.returncode and any(sign in done.stderr for sign in OFFLINE):
        pytest.skip(f"pip reaches no package index here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT, cwd=folder)
    [path] = folder.glob("banksim-*.whl")
    return path


@pytest.fixture(scope="module", params=SUPPORTED)
def banksim(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command, in a fresh virtual environment."""
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"no Python {request.param} on this machine (looked on PATH and in pyenv's versions)")
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    assert command(python, "-m", "venv", folder, cwd=folder).returncode == 0
    pip(folder / "bin" / "pip", "install", "--quiet", "--no-compile", wheel, cwd=folder)
    return folder / "bin" / "banksim"


def test_it_resolves_beside_the_newest_of_others(wheel: Path, tmp_path: Path) -> None:
    beside = ("pydantic", "faker", "flask", "plotly")
    pip(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--upgrade"),
        *(wheel, *beside),
        cwd=tmp_path,
    )


def test_it_works_in_an_empty_folder(banksim: Path, tmp_path: Path) -> None:
    listed = command(banksim, "scenarios", cwd=tmp_path)
    assert listed.returncode == 0 and "fraud_attack" in listed.stdout, listed.stderr
    flags = ("--scenario", "fraud_attack", "--speed", "10000", "--dry-run")
    ran = command(banksim, "run", *flags, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert results_in(tmp_path / "reports")["transactions"]["sent"] > 10
    assert str(ROOT) not in ran.stdout + ran.stderr  # nothing came from the checkout


@pytest.mark.parametrize("banksim", [RUNNING], indirect=True)
def test_its_chores_and_pages_come_along(banksim: Path, tmp_path: Path) -> None:
    data = ("generate", "--scenario", "demo", "--out", "data.csv", "--limit", "50")
    made = command(banksim, *data, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert len((tmp_path / "data.csv").read_text().splitlines()) == 51
    located = Path(command(banksim, "locustfile", cwd=tmp_path).stdout.strip())
    assert located.is_file() and ROOT not in located.parents
    port = free_port()
    words = [banksim, "run", "--scenario", "demo", "--dry-run", "--dashboard-port", str(port)]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        page = fetch(f"http://127.0.0.1:{port}/banksim/")
        [script] = re.findall(r'src="(/[^"]+/live\.js[^"]*)"', page)
        assert fetch(f"http://127.0.0.1:{port}{script}")
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output


def fetch(url: str) -> str:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{url}: {error.code}") from error
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url}: nobody listens")
