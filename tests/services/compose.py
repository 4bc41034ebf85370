"""docker-compose.yml without Docker: its services as processes of this machine, names mapped to free ports.

Every command, environment and health check is the file's own; only addresses change, each by a rule of
`Stack.mapped`.  Services start in the order the file asks for, each when those it needs are healthy.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
HEALTHY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 60.0


def compose(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with ${NAME:-default} and ${NAME:?asked for} filled in from ``environ``."""
    given = environ or {}
    chosen = "of-this-test"
    text = (ROOT / "docker-compose.yml").read_text()
    filled = re.sub(
        r"\$\{(\w+):([-?])([^}]*)\}",
        lambda match: given.get(match[1]) or (match[3] if match[2] == "-" else chosen),
        text,
    )
    parsed: dict[str, Any] = yaml.safe_load(filled)
    return parsed


def kafka_properties(service: Mapping[str, Any]) -> dict[str, str]:
    """What the image makes of its environment: KAFKA_LOG_DIRS becomes log.dirs."""
    return {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in service["environment"].items()
        if name.startswith("KAFKA_")
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Stack:
    """The services that run banksim.  ``postgres`` is a URL, ``kafka`` host:port."""

    def __init__(self, environ: Mapping[str, str], postgres: str, kafka: str, folder: Path) -> None:
        self.services: dict[str, Any] = compose(environ)["services"]
        self.ports = {"8090": free_port(), "8080": free_port(), "8089": free_port(), "5557": free_port()}
        self._postgres = postgres
        self._kafka = kafka
        self._folder = folder
        self.processes: list[tuple[str, subprocess.Popen[bytes], Path]] = []

    @property
    def page(self) -> str:
        """The simulator's address."""
        return f"http://127.0.0.1:{self.ports['8089']}"

    def mapped(self, text: str) -> str:
        """A command, variable or check with this machine's addresses."""
        text = re.sub(r"postgresql://\S+", self._postgres, text)
        text = text.replace("kafka:29092", self._kafka).replace("0.0.0.0", "127.0.0.1")
        text = text.replace(
            "--master-host simulator", f"--master-host 127.0.0.1 --master-port {self.ports['5557']}"
        )
        text = text.replace("--master ", f"--master --master-bind-port {self.ports['5557']} ")
        text = text.replace("--web-host", f"--web-port {self.ports['8089']} --web-host")
        text = text.replace(":15B5", f":{self.ports['5557']:04X}")
        for name in ("nexum", "bastion", "localhost"):
            text = text.replace(f"//{name}:", "//127.0.0.1:")
        for port in ("8090", "8080", "8089"):
            text = re.sub(rf"(?<=:){port}\b|(?<=-port ){port}\b", str(self.ports[port]), text)
        return text

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start one process of a service; returns when its health check passes."""
        service = self.services[name]
        words = shlex.split(self.mapped(service["command"]))
        module = {"locust": ["-m", "locust"], "banksim": ["-m", "banksim"]}[words[0]]
        variables = {key: self.mapped(str(value)) for key, value in service.get("environment", {}).items()}
        log = self._folder / f"{name}-{len(self.processes)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *module, *words[1:]],
                cwd=self._folder,
                env={**self._clean(), **variables},
                stdout=out,
                stderr=out,
            )
        self.processes.append((name, process, log))
        ends_s = time.monotonic() + HEALTHY_WITHIN_S
        while time.monotonic() < ends_s and process.poll() is None:
            if self.healthy(name):
                return process
            time.sleep(0.2)
        raise AssertionError(f"{name} did not become healthy:\n{log.read_text()[-3000:]}")

    def healthy(self, name: str) -> bool:
        """Run the service's own health check."""
        kind, *test = self.services[name]["healthcheck"]["test"]
        words = [self.mapped(word) for word in test]
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else [sys.executable, *words[1:]]
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0

    def stop(self) -> list[tuple[str, int, str]]:
        """As `docker compose stop`: SIGTERM, dependents first.  Name, exit code and output of each."""
        ended = []
        for name, process, log in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            ended.append((name, process.returncode, log.read_text()))
        self.processes.clear()
        return ended

    def _clean(self) -> dict[str, str]:
        ours = ("NEXUM_URL", "BASTION_URL", "KAFKA_BOOTSTRAP_SERVERS", "DASHBOARD_PORT", "LOG_LEVEL")
        return {name: value for name, value in os.environ.items() if name not in ours} | {
            "PYTHONPATH": str(ROOT)
        }
