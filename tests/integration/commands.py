"""Running banksim as its users do: real commands in real processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCUSTFILE = ROOT / "locustfiles" / "banking.py"
TIMEOUT_S = 120.0


def locust_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *arguments]


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without anything that would change a run."""
    ours = ("NEXUM_URL", "BASTION_URL", "KAFKA_BOOTSTRAP_SERVERS", "DASHBOARD_PORT", "LOG_LEVEL")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def locust(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a Locust command to its end."""
    return subprocess.run(
        locust_command(*arguments),
        cwd=cwd or ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def start_locust(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
    """Start a Locust command; its output goes to one pipe."""
    return subprocess.Popen(
        locust_command(*arguments),
        cwd=cwd or ROOT,
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def results_in(folder: Path) -> dict[str, Any]:
    """results.json of the one run below ``folder``."""
    files = list(folder.glob("*/results.json"))
    assert len(files) == 1, f"expected one run in {folder}, found {files}"
    results: dict[str, Any] = json.loads(files[0].read_text())
    return results
