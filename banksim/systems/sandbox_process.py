"""The stand-in bank and detector as a child process, for ``--sandbox``.

A process of its own, since a bank that shared this one's processor time would slow the
clients it is measured by.  It picks its own free ports and prints one line for each
server when it is ready; those lines are how its addresses are known.  It ends with
`stop`, and by itself when this process is gone.
"""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gevent
from gevent import subprocess
from gevent.event import Event

import banksim
from banksim.domain import BanksimError

SERVER_MODULE = "banksim.sandbox.server"
ANY_FREE_PORTS = ("--host", "127.0.0.1", "--bank-port", "0", "--detector-port", "0")
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
KEPT_LINES = 20
_READY_LINE = re.compile(r"\b(bank|detector) listening on (https?://\S+)", re.IGNORECASE)


class SandboxFailed(BanksimError):
    """The stand-in servers did not start: why, with their last words."""


class SandboxProcess:
    """Both stand-ins behind real HTTP.  Use as a context manager, or call start and stop."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        module: str = SERVER_MODULE,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        """``arguments`` go to the server, after those that ask for free ports."""
        self._module = module
        self._arguments = (*ANY_FREE_PORTS, *arguments)
        self._ready_timeout_s = ready_timeout_s
        self._process: Any = None
        self._reader: Any = None
        self._changed = Event()
        self._last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._addresses: dict[str, str] = {}

    @property
    def nexum_url(self) -> str:
        """Address of the stand-in bank, empty until it is ready."""
        return self._addresses.get("bank", "")

    @property
    def bastion_url(self) -> str:
        """Address of the stand-in detector, empty until it is ready."""
        return self._addresses.get("detector", "")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait (only this greenlet does) until both servers listen.  Raises SandboxFailed."""
        if self._process is not None:
            raise RuntimeError("the sandbox was started before")
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "banksim.systems.lifeline", self._module, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": _search_path()},
        )
        self._reader = gevent.spawn(self._read)
        try:
            with gevent.Timeout(self._ready_timeout_s, False):
                self._changed.wait()
            if not (self.nexum_url and self.bastion_url):
                raise SandboxFailed(self._why())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the child: SIGTERM, and SIGKILL when it does not listen.  Harmless when it already ended."""
        if self._process is None:
            return
        if self.alive:
            self._process.terminate()
            try:
                self._process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(timeout=1.0)
        self._reader.kill()
        self._process.stdin.close()
        self._process.stdout.close()

    def __enter__(self) -> SandboxProcess:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _read(self) -> None:
        """Follow the child's output to its end; without a reader its pipe would fill and stop it."""
        for raw in self._process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            self._last_lines.append(line[:500])
            if found := _READY_LINE.search(line):
                self._addresses[found[1].lower()] = found[2].rstrip("/.,")
                if len(self._addresses) == 2:
                    self._changed.set()
        self._changed.set()

    def _why(self) -> str:
        if self._changed.is_set():
            self._process.wait(timeout=STOP_TIMEOUT_S)
            reason = f"it ended with exit code {self._process.returncode}"
        else:
            reason = f"it was not ready within {self._ready_timeout_s:g} s"
        last_words = "\n".join(f"    {line}" for line in self._last_lines) or "    (it printed nothing)"
        return f"The stand-in servers did not start: {reason}. Their last lines:\n{last_words}"


def _search_path() -> str:
    """Where the child finds this very package, wherever it is started."""
    home = str(Path(banksim.__file__).resolve().parent.parent)
    return os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH", "")) if part)
