"""What the benchmarks share: a fast target, clients as child processes, and a look at the machine.

The target is nginx with one worker that answers every call of both systems with a constant,
so what is measured is the client.  Every client is measured in the same way from outside:
CPU time of its process (user + system) over a window, divided by the requests that nginx
counted in the same window.  Start-up, imports and the opening of customers stay outside.

Whatever else the machine does comes and goes within seconds.  So a client is looked at in many
short windows, the clients take turns for several rounds, and a figure is the 20th percentile of
its windows, with the median next to it: the lower one is what the client needs, the difference is
what the neighbours took.  nginx runs as a batch process (`chrt --batch 0`), or the scheduler lets
it preempt the client at every request.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent

_NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 1000000000;
  keepalive_timeout 65;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /stub {{ stub_status; }}
    location /customers {{ if ($request_method = PUT) {{ return 200 '{{}}'; }} return 201 '{{"customer_id":"c-1"}}'; }}
    location = /accounts {{ return 201 '{{"account_id":"a-1"}}'; }}
    location / {{ return 200 '{{"state":"completed","score":0.02,"decision":"APPROVE","reasons":["velocity"]}}'; }}
  }}
}}
"""


def nginx_binary() -> str | None:
    """Where nginx is, None without it (Debian and Ubuntu: apt-get install nginx-light)."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Target:
    """The running nginx."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def requests(self) -> int:
        """Requests answered so far."""
        with urllib.request.urlopen(f"{self.url}/stub", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        return int(lines[2].split()[2])


@contextmanager
def target() -> Iterator[Target]:
    """nginx on 127.0.0.1 at a free port.  Exits with a word when there is none on this machine."""
    binary = nginx_binary()
    if binary is None:
        print("skipped: nginx is not installed (Debian and Ubuntu: apt-get install nginx-light)")
        raise SystemExit(0)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, port = Path(name), free_port()
        config = folder / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, port=port))
        batch = ["chrt", "--batch", "0"] if shutil.which("chrt") else []
        command = [*batch, binary, "-p", str(folder), "-c", str(config)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            running = Target(port)
            _wait_until(running.requests)
            yield running
        finally:
            process.terminate()
            process.wait(10)


def _wait_until(answers: object, seconds: float = 5.0) -> None:
    until_s = time.monotonic() + seconds
    while True:
        try:
            answers()  # type: ignore[operator]
        except OSError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.02)
        else:
            return


#: Length of a window and how many are taken of a client before the next one's turn.
WINDOW_S, WINDOWS = 0.3, 6


@dataclass(frozen=True, slots=True)
class Window:
    """One client over one window: wall seconds, its CPU seconds, requests the target counted.

    ``cpu_s`` is with its child processes, ``first_cpu_s`` without.
    """

    wall_s: float
    cpu_s: float
    requests: int
    first_cpu_s: float = 0.0

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per request."""
        return self.cpu_s / self.requests * 1e6 if self.requests else float("inf")

    @property
    def rate(self) -> float:
        return self.requests / self.wall_s


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, the lower one of two."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Figures:
    """Windows of one client in short: CPU microseconds per request, requests a second, share of a core."""

    p20_us: float
    median_us: float
    rate: float
    busy: float

    @classmethod
    def of(cls, windows: Sequence[Window]) -> Figures:
        costs = [window.cpu_us for window in windows]
        return cls(
            quantile(costs, 0.2),
            statistics.median(costs),
            statistics.median(window.rate for window in windows),
            statistics.median(window.cpu_s / window.wall_s for window in windows),
        )

    def __str__(self) -> str:
        return f"{self.p20_us:12.1f}{self.median_us:10.1f}{self.rate:12,.0f}{self.busy:8.0%}"


#: Heading of a line of `Figures`.
HEADING = f"{'µs CPU: p20':>12}{'median':>10}{'requests/s':>12}{'core':>8}"


def measure(
    command: Sequence[str],
    at: Target,
    *,
    window_s: float = WINDOW_S,
    windows: int = WINDOWS,
    settle_s: float = 0.5,
    min_rate: float = 200.0,
    start_s: float = 20.0,
) -> list[Window]:
    """Start ``command``, wait until it sends ``min_rate`` requests a second, settle, and measure windows.

    Raises RuntimeError when it never gets there; what it printed is part of the message.
    """
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            list(command), stdout=output, stderr=output, cwd=ROOT, env=child_environment()
        )
        try:
            _wait_for_load(child, at, min_rate, start_s, output)
            time.sleep(settle_s)
            return [_window(psutil.Process(child.pid), at, window_s) for _ in range(windows)]
        finally:
            for one in psutil.Process(child.pid).children(recursive=True):
                one.kill()
            child.send_signal(signal.SIGKILL)
            child.wait()


def _window(process: psutil.Process, at: Target, window_s: float) -> Window:
    requests, before, alone = at.requests(), cpu_s(process), own_cpu_s(process)
    started_s = time.perf_counter()
    time.sleep(window_s)
    used, wall_s = cpu_s(process) - before, time.perf_counter() - started_s
    own_s = own_cpu_s(process) - alone
    return Window(wall_s, used, at.requests() - requests - 1, own_s)  # one request is ours


def _wait_for_load(
    child: subprocess.Popen[bytes], at: Target, min_rate: float, start_s: float, output: object
) -> None:
    until_s = time.monotonic() + start_s
    while True:
        before = at.requests()
        time.sleep(0.2)
        if (at.requests() - before - 1) / 0.2 >= min_rate:
            return
        if child.poll() is not None or time.monotonic() > until_s:
            output.seek(0)  # type: ignore[attr-defined]
            text = output.read().decode("utf-8", "replace")  # type: ignore[attr-defined]
            raise RuntimeError(f"{child.args!r} sent no load:\n{text[-2000:]}")


def cpu_s(process: psutil.Process) -> float:
    """User and system CPU seconds of a process and its children so far."""
    return sum(own_cpu_s(one) for one in (process, *process.children(recursive=True)))


def own_cpu_s(process: psutil.Process) -> float:
    """The same without its children; to the nanosecond on Linux, else to a clock tick (10 ms)."""
    threads = Path(f"/proc/{process.pid}/task")
    try:
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads.iterdir()) / 1e9
    except (OSError, IndexError):
        times = process.cpu_times()
        return float(times.user + times.system)


def child_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"}


def locust(*arguments: str) -> list[str]:
    """A Locust command line of this interpreter."""
    return [sys.executable, "-m", "locust", *arguments]


def machine() -> str:
    """One line about where and amid what the figures were taken."""
    model = "unknown CPU"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, {model}, load average {load}, Python {sys.version.split()[0]}"
