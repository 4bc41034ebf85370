"""A PostgreSQL server of the tests' own: a fresh cluster in a temporary folder, on a free port.

PostgreSQL refuses to run as root, so as root it is run by the user `postgres`, whom its
package makes.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

USER = "postgres"
START_TIMEOUT_S = 30.0


def missing() -> str:
    """Why there is no PostgreSQL to test with; empty when there is."""
    if _binaries() is None:
        return "PostgreSQL is not installed (initdb and postgres are not found)"
    if os.geteuid() == 0 and not _known(USER):
        return f"PostgreSQL does not run as root, and there is no user {USER!r} to run it"
    return ""


class PostgresServer:
    """One cluster.  `start`, `kill` and `stop` as often as wanted; `remove` at the end."""

    def __init__(self) -> None:
        self._binaries = _binaries() or Path()
        self._home = Path(tempfile.mkdtemp(prefix="banksim-pg-"))
        self._as: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._home, USER)
            self._as = ["runuser", "-u", USER, "--"]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        # --no-sync: only this machine's crash would need it, not the server's.
        self._run("initdb", "--pgdata", str(self._data), "--auth", "trust", "--no-sync", "--username", USER)

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
        command: Sequence[str] = [*self._as, str(self._binaries / program), *arguments]
        done = subprocess.run(
            command,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe would stay open in the server that pg_ctl leaves behind
            stderr=subprocess.DEVNULL,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{program} failed: {self._log()}"

    def _log(self) -> str:
        log = self._home / "log"
        return log.read_text()[-2000:] if log.exists() else "(no log)"


def _binaries() -> Path | None:
    """Folder with PostgreSQL's programs: Debian keeps them off the PATH."""
    folders = [Path(found).resolve().parent] if (found := shutil.which("initdb")) else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def _known(user: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIG_DFL)
    except ProcessLookupError:
        return False
    return True
