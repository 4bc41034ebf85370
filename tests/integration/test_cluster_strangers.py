"""Whatever a stranger sends to the port for workers: the run goes on, and what was refused is counted."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

import banksim
from banksim.load.distributed import TO_MASTER
from banksim.run.workers.messages import build
from tests.integration.cluster import ROOT, STEADY, Cluster, cluster

SHORT = STEADY.format(hours=0.3, speed=72.0, tps=30.0)

#: Frames as they arrive: what Locust cannot read, what it can but not handle, what banksim cannot read.
ODD: dict[str, list[bytes]] = {
    "empty frame": [b""],
    "three bytes": [b"abc"],
    "an integer": [msgpack.dumps(7)],
    "many frames": [b"a", b"b", b"c"],
    "too short": [msgpack.dumps(["stats"])],
    "wrong types": [msgpack.dumps([{"a": 1}, 3, None])],
    "no such kind": [msgpack.dumps([TO_MASTER, {"kind": "weather"}, "stranger"])],
    "no dictionary": [msgpack.dumps([TO_MASTER, 3, "stranger"])],
    "a pulse without a hello": [
        msgpack.dumps([TO_MASTER, {"kind": "pulse", "run": "x", "at_s": 1.0}, "stranger"])
    ],
    "another version": [msgpack.dumps(["client_ready", {"a": 1}, "stranger"])],
}


#: A worker whose program is not quite the master's.
ANOTHER_BUILD = """\
import sys
sys.path.insert(0, {root!r})
from banksim.run.workers import messages
messages.build = lambda: "0.1.0+other"
from locustfiles.banking import *
"""


def send(port: int, frames: list[bytes]) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.IDENTITY, b"stranger")
        socket.setsockopt(zmq.LINGER, 1000)
        socket.connect(f"tcp://127.0.0.1:{port}")
        socket.send_multipart(frames)
        time.sleep(0.2)


@pytest.fixture(scope="module")
def visited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cluster, int, str]:
    """One run with all of them, its exit code and the master's log."""
    folder: Path = tmp_path_factory.mktemp("strangers")
    with cluster(folder, SHORT, "--dry-run") as found:
        found.wait_for("Transaction generation started", timeout_s=60)
        (folder / "other.py").write_text(ANOTHER_BUILD.format(root=str(ROOT)))
        other = found.add_worker("-f", str(folder / "other.py"))
        for frames in ODD.values():
            send(found.port, frames)
        assert other.wait(40) == 1
        code = found.wait_for_the_end(90)
    return found, code, found.said()


def test_the_run_completes(visited: tuple[Cluster, int, str]) -> None:
    found, code, said = visited
    results: dict[str, Any] = found.results()
    assert code == 0, said
    assert results["run"]["end"] == "completed"
    assert [row["ended"] for row in results["run"]["workers"]] == ["final", "final"]
    assert sum(row["losses"] for row in results["run"]["workers"]) == 0
    assert results["reconciliation"]["verdict"] == "balanced"


def test_what_was_odd_is_counted_without_a_traceback(visited: tuple[Cluster, int, str]) -> None:
    said = visited[2]
    assert "messages at the workers' port; the last one:" in said
    assert "Traceback" not in said


def test_a_worker_of_another_build_is_rejected_by_name(visited: tuple[Cluster, int, str]) -> None:
    (said,) = [text for text in map(visited[0].said, ("worker-0", "worker-1", "worker-2")) if "other" in text]
    assert f"the master runs banksim {build()}, this worker 0.1.0+other; install the same build" in said
    assert "Traceback" not in said
    assert build().startswith(f"{banksim.__version__}+")
