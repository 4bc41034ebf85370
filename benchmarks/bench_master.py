"""What a master costs: its CPU and memory beside 2, 10, 50 and 200 workers at 500 transactions a second each.

    python benchmarks/bench_master.py [WORKERS ...]

The master is a real one (`locust --master`).  The workers are not: one process speaks the
protocol for all of them, with the states of a run that was counted for real beforehand
(STATE_TRANSACTIONS transactions with fraud, of which every worker sends a copy that it keeps
raising).  So two cores are enough to see a master with 200 workers.

Target: at most 2 % of a core per worker.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gevent import monkey

monkey.patch_all()

import gevent  # noqa: E402
import orjson  # noqa: E402
import psutil  # noqa: E402
from kit import free_port  # noqa: E402
from locust import __version__ as locust_version  # noqa: E402
from locust.rpc import Message, zmqrpc  # noqa: E402

import banksim  # noqa: E402
from banksim.load.distributed import TO_MASTER, TO_WORKER  # noqa: E402
from banksim.measure.results import Account  # noqa: E402
from banksim.run.dispatcher import ANY_PERSONA, FRAUD_SEAT  # noqa: E402
from banksim.run.plan import Mode, RunSettings  # noqa: E402
from banksim.run.run import Run  # noqa: E402
from banksim.run.workers.messages import (  # noqa: E402
    Ack,
    Assigned,
    ClockState,
    EndRun,
    Final,
    FromWorker,
    Hello,
    Orders,
    Pulse,
    State,
    encode,
    from_master,
)
from banksim.scenario import parse_scenario  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CREWS = (2, 10, 50, 200)
WORKER_TPS = 500
SETTLE_S, WINDOW_S = 5.0, 15.0
ITEMS_PER_SECOND = 40
STATE_TPS, STATE_S = 400, 8

SCENARIO = """\
name: A master at work
duration_hours: {hours}
speed_multiplier: 60
start_at: 2026-01-05 10:00:00
customers: 2000
transaction_rate: {{peak_tps: {tps}, off_peak_tps: {tps}, business_hours: [0, 24]}}
fraud:
  rate: 0.05
  patterns: [{{type: card_testing, weight: 1}}, {{type: account_takeover, weight: 1}}, {{type: layering, weight: 1}}]
"""


def counted_state(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measures and feed items of a short run in this process."""
    scenario = parse_scenario(SCENARIO.format(hours=STATE_S / 60.0, tps=STATE_TPS), "bench.yaml", {})
    run = Run(
        RunSettings(scenario, 3, 60.0, Mode.DRY_RUN, folder), {ANY_PERSONA, FRAUD_SEAT}, lambda call: None
    )

    def work(seat: str) -> None:
        while True:
            run.perform(run.seats.take(seat))

    users = [gevent.spawn(work, seat) for seat in (ANY_PERSONA, FRAUD_SEAT) for _ in range(20)]
    run.conduct()
    gevent.killall(users)
    assert run.feed is not None
    return run.measures.to_state(books=False), run.feed.items()


class FakeWorker:
    """Speaks for one worker: prepares at once, then sends pulses and states like a busy one."""

    def __init__(self, port: int, number: int, state: dict[str, Any], items: list[dict[str, Any]]) -> None:
        self._id = f"fake_{number}"
        self._client = zmqrpc.Client("127.0.0.1", port, self._id)
        self._state, self._items = state, items
        self._run, self._assignment, self._seq = "", 0, 0
        self._pulse_s, self._state_s = 0.1, 0.25
        self._origin_s = 0.0
        self._final = False
        self._say_locust("client_ready", locust_version)
        for work in (self._listen, self._beat, self._work):
            gevent.spawn(work)

    def _say_locust(self, kind: str, data: Any) -> None:
        self._client.send(Message(kind, data, self._id))

    def _say(self, message: FromWorker) -> None:
        self._say_locust(TO_MASTER, encode(message))

    def _beat(self) -> None:
        while True:
            self._say(Hello(version=banksim.__version__, host="bench", pid=os.getpid(), run=self._run))
            usage = {
                "state": "running" if self._run else "ready",
                "current_cpu_usage": 50,
                "current_memory_usage": 10**8,
            }
            self._say_locust("heartbeat", usage)
            gevent.sleep(1.0)

    def _listen(self) -> None:
        while True:
            message = self._client.recv()
            if message.type != TO_WORKER:
                continue
            match from_master(message.data):
                case Orders(run=run):
                    self._run = run
                case Assigned(number=number):
                    self._assignment = number
                case ClockState(segments=[(wall_s, _, _), *_]):
                    self._origin_s = wall_s
                case Ack(pulse_s=pulse_s, state_s=state_s):
                    self._pulse_s, self._state_s = pulse_s, state_s
                case EndRun():
                    self._final = True
                    wall_s, counts = self._counted()
                    head = {"run": self._run, "seq": self._seq, "wall_s": wall_s, "counts": counts}
                    self._say(Final(**head, end="interrupted", account=Account()))

    def _counted(self) -> tuple[float, bytes]:
        wall_s = max(0.0, time.monotonic() - self._origin_s) if self._origin_s else 0.0
        self._seq += 1
        index = int(wall_s)
        buckets = self._state["timeline"]["buckets"][-4:]
        state = {
            **self._state,
            "timeline": {
                **self._state["timeline"],
                "buckets": [[max(0, index - n), bucket[1]] for n, bucket in enumerate(buckets)],
            },
        }
        return wall_s, orjson.dumps({"measures": state, "kafka": None})

    def _work(self) -> None:
        stated_s = 0.0
        while not self._final:
            if self._run:
                self._say(self._pulse())
                now_s = time.monotonic()
                if self._origin_s and now_s - stated_s >= self._state_s:
                    stated_s = now_s
                    wall_s, counts = self._counted()
                    self._say(
                        State(
                            run=self._run,
                            seq=self._seq,
                            wall_s=wall_s,
                            from_s=max(0.0, wall_s - 3.0),
                            counts=counts,
                            targets=[],
                        )
                    )
            gevent.sleep(self._pulse_s)

    def _pulse(self) -> Pulse:
        wanted = max(1, round(ITEMS_PER_SECOND * self._pulse_s / 10))
        return Pulse(
            run=self._run,
            at_s=time.monotonic(),
            prepared=True,
            opened_for=self._assignment,
            cpu_percent=50.0,
            rss_bytes=1e8,
            seen=WORKER_TPS,
            items=self._items[:wanted] if self._origin_s else [],
        )


def measure(workers: int, state: dict[str, Any], items: list[dict[str, Any]], folder: Path) -> str:
    """One line of the table."""
    port = free_port()
    file = folder / "bench.yaml"
    file.write_text(SCENARIO.format(hours=1.0, tps=WORKER_TPS))
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / "banking.py"), "--headless"]
    command += ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(port)]
    command += ["--expect-workers", str(workers), "--scenario", str(file), "--dry-run", "--only-summary"]
    log = folder / f"master-{workers}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--report-dir", str(folder / "out")],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
    try:
        time.sleep(1.0)
        crew = [FakeWorker(port, number, state, items) for number in range(workers)]
        until_s = time.monotonic() + 60
        while "Transaction generation started" not in log.read_text() and time.monotonic() < until_s:
            gevent.sleep(0.2)
        gevent.sleep(SETTLE_S)
        master = psutil.Process(process.pid)
        before, from_s = master.cpu_times(), time.monotonic()
        gevent.sleep(WINDOW_S)
        after, wall_s = master.cpu_times(), time.monotonic() - from_s
        cpu = (after.user + after.system - before.user - before.system) / wall_s * 100
        megabytes = master.memory_info().rss / 1e6
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        told = "whole" if "lost" not in log.read_text() else "WORKERS LOST"
        assert crew
    finally:
        if process.poll() is None:
            process.kill()
    verdict = "met" if cpu / workers <= 2.0 else "missed"
    return f"{workers:8d} {cpu:12.1f} {cpu / workers:14.2f} {megabytes:12.0f}   {verdict:8s} {told}"


def main() -> None:
    crews = [int(text) for text in sys.argv[1:]] or CREWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state, items = counted_state(folder)
        size = len(orjson.dumps(state))
        print(f"Each worker: {WORKER_TPS} transactions a second, a state of {size / 1000:.0f} kB.")
        print(f"{'workers':>8} {'% of a core':>12} {'% per worker':>14} {'memory, MB':>12}   target")
        for workers in crews:
            print(measure(workers, state, items, folder), flush=True)


if __name__ == "__main__":
    main()
