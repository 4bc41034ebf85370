"""The Pythons that banksim supports, as this machine has them.

`python -m tests.pythons` runs the unit tests under each, in a virtual environment of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

SUPPORTED = ("3.11", "3.12", "3.13")
ROOT = Path(__file__).resolve().parents[1]
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


@lru_cache
def find_python(version: str) -> Path | None:
    """An interpreter of ``version`` ("3.12"): the running one, one on PATH, or one of pyenv's."""
    return next((path for path in _candidates(version) if _version_of(path) == version), None)


def _candidates(version: str) -> Iterator[Path]:
    base = Path(getattr(sys, "_base_executable", sys.executable))
    yield base
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted((pyenv / "versions").glob(f"{version}.*/bin/python"), reverse=True)


def _version_of(python: Path) -> str:
    """ "3.12"; empty when it does not run (a shim for a version that is not switched on, say)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def main() -> int:
    """The unit tests once per Python; 1 when they fail under one of them."""
    failed = []
    for version in SUPPORTED:
        python, folder = find_python(version), ROOT / f".venv-{version}"
        if python is None:
            print(f"Python {version}: not on this machine, skipped", flush=True)
            continue
        print(f"Python {version}: {python}", flush=True)
        own = folder / "bin" / "python"
        if not own.exists():
            subprocess.run([python, "-m", "venv", folder], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([own, *install, "--require-hashes", "-r", "requirements.lock"], cwd=ROOT, check=True)
        subprocess.run([own, *install, "-r", "requirements-dev.txt", "-e", "."], cwd=ROOT, check=True)
        if subprocess.run([own, "-m", "pytest", "-q", "tests/unit"], cwd=ROOT, check=False).returncode:
            failed.append(version)
    if failed:
        print(f"The unit tests fail under Python {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
