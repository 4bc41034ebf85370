"""Locust's web UI with a made-up run behind it, in a process of its own.

So its greenlets and the browser driver's event loop stay apart.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: The start command of a browser that needs no display and no GPU.
BROWSER_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

LOCUSTFILE = """
    import json, os, sys, time
    sys.path.insert(0, os.environ["DEMO_ROOT"])
    from locust import User, constant, events, task
    from tests.unit.web_ext.fakes import DemoView
    from web_ext import register
    from web_ext.guard import Guard, set_up_login

    class Somebody(User):
        wait_time = constant(1)

        @task
        def nothing(self):
            pass

    @events.init.add_listener
    def on_init(environment, **_):
        base = environment.parsed_options.web_base_path or ""
        if environment.web_ui.web_login:
            set_up_login(environment.web_ui, os.environ, base, Guard(login=True, loopback_only=True))
        register(environment, DemoView(time.time, **json.loads(os.environ["DEMO_VIEW"])))
"""


class Server:
    """On a free port of this machine."""

    def __init__(self, folder: Path, *flags: str, base: str = "", **view: Any) -> None:
        locustfile = folder / "locustfile.py"
        locustfile.write_text(textwrap.dedent(LOCUSTFILE))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}{base}"
        command = [sys.executable, "-m", "locust", "-f", str(locustfile), "--web-host", "127.0.0.1"]
        environ = {**os.environ, "DEMO_ROOT": str(ROOT), "DEMO_VIEW": json.dumps(view)}
        self.process = subprocess.Popen(
            [*command, "--web-port", str(port), *flags],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await_answer()

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.address}/api/status", timeout=5) as answer:
            return json.load(answer)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.status()
                return
            except urllib.error.HTTPError:
                return  # it answers, and asks who we are
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise
                time.sleep(0.1)
