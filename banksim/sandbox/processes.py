"""The stand-in bank and detector as two child processes, for ``--sandbox``.

They are processes of their own, since a bank inside this one would slow the clients that
measure it; two of them, so that neither waits for the other's Python.  Each picks its own
free port and prints a line with its address when it is ready.  They end with `stop`, and by
themselves when this process is gone.
"""

from __future__ import annotations

import os
import re
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gevent
from gevent import subprocess
from gevent.event import Event

import banksim
from banksim.model import BanksimError

SERVER_MODULE = "banksim.sandbox.server"
ANY_FREE_PORTS = ("--host", "127.0.0.1", "--bank-port", "0", "--detector-port", "0")
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
NAMES = ("bank", "detector")
KEPT_LINES = 20
_READY_LINE = re.compile(r"\b(bank|detector) listening on (https?://\S+)", re.IGNORECASE)


class SandboxFailed(BanksimError):
    """The stand-in servers did not start: the reason, with their last lines of output."""


class _Child:
    """One stand-in: its process, the greenlet that follows its output, its address and last lines."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.address = ""
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.changed = Event()
        self.process: Any = subprocess.Popen(
            [sys.executable, "-u", "-m", "banksim.sandbox.child_guard", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in a terminal is for the run, which still needs its stand-ins
            env={**os.environ, "PYTHONPATH": _search_path(), **environment},
        )
        self._reader = gevent.spawn(self._read)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        if self.alive:
            self.process.terminate()

    def stop(self) -> None:
        """End it, after `ask_to_stop`; with SIGKILL if that had no effect."""
        if self.alive:
            try:
                self.process.wait(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(timeout=1.0)
        self._reader.kill()
        self.process.stdin.close()
        self.process.stdout.close()

    def why(self, timeout_s: float) -> str:
        """Why it is not ready, with its last lines of output."""
        if self.changed.is_set():
            self.process.wait(timeout=STOP_TIMEOUT_S)
            reason = f"it ended with exit code {self.process.returncode}"
        else:
            reason = f"it was not ready within {timeout_s:g} s"
        output = "\n".join(f"    {line}" for line in self.last_lines) or "    (it printed nothing)"
        return f"The stand-in {self.name} did not start: {reason}. Its last lines:\n{output}"

    def _read(self) -> None:
        """Follow the child's output to its end; without a reader its pipe would fill and stop it."""
        for raw in self.process.stdout:
            line = raw.decode("utf-8", "replace").rstrip()
            self.last_lines.append(line[:500])
            found = _READY_LINE.search(line)
            if found and found[1].lower() == self.name:
                self.address = found[2].rstrip("/.,")
                self.changed.set()
        self.changed.set()


class SandboxProcess:
    """Both stand-ins behind real HTTP.  Use as a context manager, or call start and stop."""

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        module: str = SERVER_MODULE,
        ready_timeout_s: float = READY_TIMEOUT_S,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``arguments`` (after those for free ports) and ``environment`` are passed to both servers."""
        self._module = module
        self._arguments = arguments
        self._environment = environment or {}
        self._ready_timeout_s = ready_timeout_s
        self.children: tuple[_Child, ...] = ()

    @property
    def nexum_url(self) -> str:
        """Address of the stand-in bank, empty until it is ready."""
        return self.address_of("bank")

    @property
    def bastion_url(self) -> str:
        """Address of the stand-in detector, empty until it is ready."""
        return self.address_of("detector")

    @property
    def alive(self) -> bool:
        """Whether both run."""
        return bool(self.children) and all(child.alive for child in self.children)

    def start(self) -> None:
        """Start, and wait (only this greenlet does) until both listen.  Raises SandboxFailed."""
        if self.children:
            raise RuntimeError("the sandbox has been started already")
        self.children = tuple(self._child(name) for name in NAMES)
        try:
            with gevent.Timeout(self._ready_timeout_s, False):
                for child in self.children:
                    child.changed.wait()
                    if not child.address:
                        break
            for child in self.children:
                if not child.address:
                    raise SandboxFailed(child.why(self._ready_timeout_s))
        except BaseException:
            self.stop()
            raise

    def kill(self, name: str) -> None:
        """End one without warning, as kill -9 does.  `restart` uses the same port again."""
        child = self._child_of(name)
        child.process.kill()
        child.process.wait()

    def restart(self, name: str) -> None:
        """Start the one that was killed, at the same address, and wait until it listens.

        Raises SandboxFailed.
        """
        old = self._child_of(name)
        port = old.address.rpartition(":")[2]
        old.stop()
        child = self._child(name, f"--{name}-port", port)
        self.children = tuple(child if other is old else other for other in self.children)
        child.changed.wait(self._ready_timeout_s)
        if not child.address:
            reason = child.why(self._ready_timeout_s)
            child.address = old.address  # clients still look for it at its old address
            raise SandboxFailed(reason)

    def stop(self) -> None:
        """End both: SIGTERM, then SIGKILL if that has no effect.  Harmless when they already ended."""
        for child in self.children:
            child.ask_to_stop()
        for child in self.children:
            child.stop()

    def __enter__(self) -> SandboxProcess:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _child(self, name: str, *more: str) -> _Child:
        arguments = (*ANY_FREE_PORTS, "--only", name, *self._arguments, *more)
        return _Child(name, self._module, arguments, self._environment)

    def _child_of(self, name: str) -> _Child:
        return next(child for child in self.children if child.name == name)

    def address_of(self, name: str) -> str:
        """Address of "bank" or "detector", empty until it is ready."""
        return next((child.address for child in self.children if child.name == name), "")


def _search_path() -> str:
    """PYTHONPATH with which the child finds this package from any working directory."""
    home = str(Path(banksim.__file__).resolve().parent.parent)
    return os.pathsep.join(part for part in (home, os.environ.get("PYTHONPATH", "")) if part)
