"""Workers that die, freeze and come late: the run ends by itself, and says what was lost.

Three workers offer a steady rate between them.  One is killed with -9, another one stopped for
ten seconds and continued, a fourth one started late.
"""

from __future__ import annotations

import signal
import time
from itertools import pairwise

import pytest

from tests.integration.cluster import STEADY, Cluster, cluster

pytestmark = pytest.mark.timing

TPS = 60.0
WALL_S = 50.0
SPEED = 144.0
#: Seconds after each event in which the rate may be off: silence must be noticed first.
NOTICED_S = 5.0


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cluster, int, dict[str, float]]:
    folder = tmp_path_factory.mktemp("chaos")
    scenario = STEADY.format(hours=WALL_S * SPEED / 3600.0, speed=SPEED, tps=TPS) + "arrivals: even\n"
    moments: dict[str, float] = {}
    with cluster(folder, scenario, "--dry-run", "--transaction-log", workers=3) as found:
        found.wait_for("Transaction generation started on 3 workers", timeout_s=60)
        origin_s = time.monotonic()

        def at(name: str, wall_s: float) -> None:
            time.sleep(max(0.0, origin_s + wall_s - time.monotonic()))
            moments[name] = time.monotonic() - origin_s

        at("killed", 8.5)
        found.workers[0].kill()
        at("stopped", 17.0)
        found.workers[1].send_signal(signal.SIGSTOP)
        at("late", 19.0)
        found.add_worker()
        at("continued", 27.0)
        found.workers[1].send_signal(signal.SIGCONT)
        code = found.wait_for_the_end(WALL_S + 60)
    return found, code, moments


def test_it_ends_by_itself(chaos: tuple[Cluster, int, dict[str, float]]) -> None:
    found, code, _ = chaos
    assert code in (0, 99), found.said()
    assert "Traceback" not in found.said()


def test_counts_add_up(chaos: tuple[Cluster, int, dict[str, float]]) -> None:
    counts = chaos[0].results()["transactions"]
    ended = counts["completed"] + counts["failed"] + counts["unknown"] + counts["dropped"]
    assert counts["offered"] == ended + counts["in_flight"]
    lost = sum(worker["in_flight"] for worker in chaos[0].results()["run"]["workers"])
    assert counts["in_flight"] == lost, "only the killed worker left anything unanswered"


def test_the_loss_is_told(chaos: tuple[Cluster, int, dict[str, float]]) -> None:
    results = chaos[0].results()
    workers = {row["number"]: row for row in results["run"]["workers"]}
    assert sorted(row["ended"] for row in workers.values()) == ["final", "final", "final", "lost"]
    assert sum(row["losses"] for row in workers.values()) == 2, "one killed, one frozen"
    (killed,) = (row for row in workers.values() if row["ended"] == "lost")
    assert 0 < killed["gap_s"] < NOTICED_S
    assert killed["not_offered"] == pytest.approx(TPS / 3 * killed["gap_s"], rel=0.25)
    assert any(f"Worker {killed['number']} was lost" in text for text in results["limits"])
    (silent,) = (text for text in results["limits"] if text.startswith("Silent workers"))
    assert "% of all" in silent.replace("\u2009", " "), "the lost share is named"


def test_the_rate_is_kept(chaos: tuple[Cluster, int, dict[str, float]]) -> None:
    found, _, moments = chaos
    rows = found.results()["timeline"]
    for begin_s, end_s in stretches(moments):
        offered = sum(row["offered"] for row in rows if begin_s <= row["wall_s"] < end_s)
        asked = TPS * (end_s - begin_s)
        assert offered == pytest.approx(asked, rel=0.03), f"between {begin_s} and {end_s} s"


def test_what_the_workers_logged_is_what_the_master_counted(
    chaos: tuple[Cluster, int, dict[str, float]],
) -> None:
    """Of the killed worker the master may know less than its disk, by one sign of life."""
    found, results = chaos[0], chaos[0].results()
    lost = {row["number"] for row in results["run"]["workers"] if row["ended"] == "lost"}
    logged = 0
    for path in found.run_folder().glob("transactions-*.csv"):
        if int(path.stem.split("-")[1]) not in lost:
            logged += len(path.read_text().splitlines()) - 1
    assert 0 < logged <= results["transactions"]["offered"]


def stretches(moments: dict[str, float]) -> list[tuple[float, float]]:
    """Whole seconds of the run in which nothing has happened for a while."""
    edges = [0.0, *sorted(moments.values()), WALL_S]
    found = []
    for begin_s, end_s in pairwise(edges):
        first = 1.0 if begin_s == 0.0 else float(int(begin_s + NOTICED_S) + 1)
        last = float(int(end_s)) - (1.0 if end_s == WALL_S else 0.0)
        if last - first >= 2:
            found.append((first, last))
    return found


def test_the_stretches_cover_most_of_the_run() -> None:
    quiet = stretches({"killed": 8.5, "stopped": 17.0, "late": 19.0, "continued": 27.0})
    assert quiet == [(1.0, 8.0), (14.0, 17.0), (25.0, 27.0), (33.0, 49.0)]
