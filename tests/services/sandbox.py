"""One stand-in as a server on a fixed port, so that it can die and come back at the same address."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Server:
    """The stand-in bank or detector.  ``options`` as on the command line of `banksim sandbox`."""

    def __init__(self, name: str, *options: str) -> None:
        self._name = name
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and return when it listens."""
        arguments = ["--only", self._name, f"--{self._name}-port", str(self.port), *self._options]
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "banksim.sandbox.server", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if " listening on " in line:
                return
        raise AssertionError(f"the server ended before it listened: {said}")

    def kill(self) -> None:
        """kill -9: nothing gets to finish."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop answering without ending: connections stay open, requests hang."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Whatever state it is in; harmless when it does not run."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
