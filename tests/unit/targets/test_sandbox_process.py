"""The stand-ins as child processes: ready, failed, silent, stubborn, orphaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gevent
import psutil
import pytest

from banksim.sandbox import processes as sandbox_process
from banksim.targets import SandboxFailed, SandboxProcess

FAKE = "tests.unit.targets.fake_sandbox"
ROOT = Path(__file__).parents[3]


def sandbox(how: str, **options: float) -> SandboxProcess:
    return SandboxProcess([how], module=FAKE, **options)


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_addresses_are_known_when_it_is_ready_and_it_ends() -> None:
    with sandbox("well") as child:
        assert (child.nexum_url, child.bastion_url) == ("http://127.0.0.1:4001", "http://127.0.0.1:4002")
        assert child.alive
        processes = [psutil.Process(one.process.pid) for one in child.children]
    assert not child.alive
    assert len(processes) == 2
    assert not any(process.is_running() for process in processes)
    child.stop()  # a second time is harmless


def test_the_hub_runs_while_it_starts() -> None:
    ticks = 0

    def heartbeat() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            gevent.sleep(0.005)

    heart = gevent.spawn(heartbeat)
    with sandbox("well"):
        heart.kill()
    assert ticks > 5


def test_failure_shows_the_last_lines() -> None:
    with pytest.raises(SandboxFailed) as failure:
        sandbox("fails").start()
    text = str(failure.value)
    assert "ended with exit code 3" in text
    assert "    starting with --host 127.0.0.1 --bank-port 0 --detector-port 0 --only bank" in text
    assert "    the port is taken" in text


def test_silent_child_is_given_up_and_ended() -> None:
    child = sandbox("silent", ready_timeout_s=0.8)
    with pytest.raises(SandboxFailed, match=r"not ready within 0\.8 s"):
        child.start()
    assert not child.alive


def test_child_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_process, "STOP_TIMEOUT_S", 0.1)
    with sandbox("stubborn") as child:
        pass
    assert {one.process.returncode for one in child.children} == {-signal.SIGKILL}


def test_output_is_drained_and_bounded() -> None:
    with sandbox("chatty") as child:
        with gevent.Timeout(5):
            while any("done talking" not in one.last_lines for one in child.children):
                gevent.sleep(0.01)
        assert {max(map(len, one.last_lines)) for one in child.children} == {500}


def test_it_is_started_once() -> None:
    with sandbox("well") as child, pytest.raises(RuntimeError, match="started already"):
        child.start()


def test_child_ends_when_its_parent_is_killed() -> None:
    program = (
        "from banksim.targets import SandboxProcess\n"
        f"child = SandboxProcess(['well'], module={FAKE!r})\n"
        "child.start()\n"
        "print(*(one.process.pid for one in child.children), flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ}
    ) as parent:
        assert parent.stdout is not None
        grandchildren = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert len(grandchildren) == 2
    deadline_s = time.monotonic() + 5
    for grandchild in grandchildren:
        while grandchild.is_running() and grandchild.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline_s, "the child outlived its parent"
            time.sleep(0.02)
