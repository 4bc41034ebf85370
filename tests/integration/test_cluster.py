"""One run on one, two or four workers is the same run."""

from __future__ import annotations

import csv
import math
from collections import Counter
from pathlib import Path

import gevent
import pytest

from banksim.measure.results import encode
from banksim.model import Planned
from banksim.run.plan import Mode
from banksim.run.run import End, State
from tests.integration.driver import SMALL_ATTACK, Driver, settings_for
from tests.integration.loopback import LoopbackCluster

pytestmark = pytest.mark.timing

#: Differences of two random numbers this many standard deviations apart are no accident.
SIGMAS = 4.5


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    driver = Driver(settings_for(tmp_path_factory.mktemp("alone")))
    driver.conduct()
    return driver


@pytest.fixture(scope="module", params=[1, 2, 4])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoopbackCluster:
    settings = settings_for(tmp_path_factory.mktemp("shared"), transaction_log=True)
    cluster = LoopbackCluster(settings, request.param)
    cluster.conduct()
    return cluster


def campaigns(planned: list[Planned]) -> Counter[str]:
    return Counter(one.truth.campaign_id for one in planned if one.truth.campaign_id)


def test_it_completes(shared: LoopbackCluster) -> None:
    assert shared.run.end is End.COMPLETED, shared.run.message
    assert shared.run.state is State.FINISHED
    assert shared.run.results is not None
    assert len(encode(shared.run.results)["run"]["workers"]) == len(shared.workers)


def test_the_same_people(alone: Driver, shared: LoopbackCluster) -> None:
    assert alone.run.parts is not None
    customers = [alone.run.parts.world.population.customer(n) for n in range(60)]
    for worker in shared.workers.values():
        assert worker.run is not None
        world = worker.run.load.plan.world
        assert [world.population.customer(n) for n in range(60)] == customers


def test_the_same_campaigns_each_at_one_worker(alone: Driver, shared: LoopbackCluster) -> None:
    of_each = [set(campaigns(worker.planned)) for worker in shared.workers.values()]
    assert sum(len(own) for own in of_each) == len(set().union(*of_each)), "none at two workers"
    assert set().union(*of_each) == set(campaigns(alone.planned))
    if len(of_each) > 1:
        assert all(of_each), "everyone has some"


def test_the_same_amount_of_everything(alone: Driver, shared: LoopbackCluster) -> None:
    for kind in (lambda one: one.truth.is_fraud, lambda one: not one.truth.campaign_id):
        here = sum(1 for one in shared.planned if kind(one))
        there = sum(1 for one in alone.planned if kind(one))
        assert abs(here - there) < SIGMAS * math.sqrt(here + there), (here, there)


def test_each_customer_acts_from_one_worker_only(shared: LoopbackCluster) -> None:
    actors = [
        {one.transaction.account.customer_index for one in worker.planned if not one.truth.campaign_id}
        for worker in shared.workers.values()
    ]
    # The owner's own payment next to a stolen card's is made where the campaign is.
    victims = {
        one.transaction.account.customer_index
        for one in shared.planned
        if one.truth.campaign_id.startswith("unusual_location")
    }
    assert sum(len(own - victims) for own in actors) == len(set().union(*actors) - victims) > 0


def test_ids_are_unique(shared: LoopbackCluster) -> None:
    ids = [one.transaction.transaction_id for one in shared.planned]
    assert len(set(ids)) == len(ids)


def test_what_is_merged_is_the_sum_of_the_logs(shared: LoopbackCluster) -> None:
    assert shared.run.results is not None
    results = encode(shared.run.results)
    rows = []
    for path in sorted(shared.run.settings.folder.glob("transactions-*.csv")):
        with path.open(newline="") as file:
            rows += list(csv.DictReader(file))
    assert len(rows) == results["transactions"]["offered"] == results["run"]["transaction_log"]["lines"]
    fraud = [row for row in rows if row["label"] == "fraud" and row["bank_status"] != "dropped"]
    assert len(fraud) == results["fraud"]["transactions"]
    logged = Counter(row["typology"] for row in fraud)
    assert logged == {name: entry["transactions"] for name, entry in results["fraud"]["by_typology"].items()}
    alerted = sum(row["decision"] in ("review", "block") for row in fraud)
    assert alerted == results["detection"]["confusion"]["tp"]


def test_every_workers_bank_agrees(shared: LoopbackCluster) -> None:
    assert shared.run.results is not None
    assert encode(shared.run.results)["reconciliation"]["verdict"] == "balanced"


def test_steering_reaches_all_workers_at_once(tmp_path: Path) -> None:
    """Pause, another speed, and on: within 200 ms all workers live in the same simulated moment."""
    found: dict[str, list[tuple[float, float, bool]]] = {}

    def clocks(cluster: LoopbackCluster) -> list[tuple[float, float, bool]]:
        runs = [worker.run for worker in cluster.workers.values()]
        built = [run.timekeeper.clock for run in runs if run is not None]
        moments = [run.timekeeper.now().sim_s for run in runs if run is not None]
        return [(clock.speed, sim_s, clock.paused) for clock, sim_s in zip(built, moments, strict=True)]

    def steer(cluster: LoopbackCluster) -> None:
        while cluster.run.state is not State.RUNNING:
            gevent.sleep(0.02)
        gevent.sleep(0.5)
        cluster.run.pause()
        gevent.sleep(0.2)
        found["paused"] = clocks(cluster)
        found["the master's"] = [(0.0, cluster.run.moment()[1], True)]
        cluster.run.set_speed(7200.0)
        cluster.run.resume()
        gevent.sleep(0.2)
        found["faster"] = clocks(cluster)
        cluster.run.request_end(End.STOPPED)

    settings = settings_for(tmp_path, SMALL_ATTACK)
    run = LoopbackCluster(settings, 3).conduct(steer)
    ((_, master_sim_s, _),) = found["the master's"]
    for speed, sim_s, paused in found["paused"]:
        assert (speed, paused) == (3600.0, True)
        assert sim_s == pytest.approx(master_sim_s, abs=3600.0 * 0.02), "20 ms of wall time"
    for speed, sim_s, paused in found["faster"]:
        assert (speed, paused) == (7200.0, False)
        assert sim_s > master_sim_s
    assert run.end is End.STOPPED
    assert run.results is not None
    assert encode(run.results)["run"]["speed"] == 7200.0


def test_a_late_worker_knows_every_customer(tmp_path: Path) -> None:
    """At a bank that is shared, who joins late must know the accounts that others have opened."""

    def join_late(cluster: LoopbackCluster) -> None:
        while cluster.run.state is not State.RUNNING:
            gevent.sleep(0.02)
        gevent.sleep(0.5)
        cluster.add_worker()

    settings = settings_for(tmp_path, mode=Mode.SANDBOX)
    cluster = LoopbackCluster(settings, 1)
    run = cluster.conduct(join_late)
    assert run.end is End.COMPLETED, run.message
    late = cluster.workers["worker-1"]
    assert late.run is not None
    assert late.run.share.part > 0.3
    assert any(not one.truth.campaign_id for one in late.planned), "it took its share"
    assert run.results is not None
    assert encode(run.results)["transactions"]["failed"] == 0
    assert encode(run.results)["reconciliation"]["verdict"] == "balanced"


def test_without_any_worker_left_the_run_fails_with_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("banksim.run.workers.remote_load.ALONE_FOR_S", 1.0)

    def lose_all_workers(cluster: LoopbackCluster) -> None:
        while cluster.run.state is not State.RUNNING:
            gevent.sleep(0.02)
        gevent.sleep(0.5)
        for worker in cluster.workers.values():
            worker.kill()

    settings = settings_for(tmp_path, SMALL_ATTACK, speed="1000")
    run = LoopbackCluster(settings, 2).conduct(lose_all_workers)
    assert run.end is End.FAILED
    assert run.state is State.FAILED
    assert "All workers were lost" in run.message
    assert run.results is not None
    assert [row["ended"] for row in encode(run.results)["run"]["workers"]] == ["lost", "lost"]


def test_without_any_worker_there_is_no_run(tmp_path: Path) -> None:
    run = LoopbackCluster(settings_for(tmp_path), 0).conduct()
    assert run.end is End.FAILED
    assert "No worker is connected. Start one" in run.message
    assert "--master-port 5557" in run.message


def test_a_sandbox_is_for_the_masters_own_machine(tmp_path: Path) -> None:
    """Its stand-ins listen on loopback: a worker elsewhere would call something else."""
    run = LoopbackCluster(settings_for(tmp_path, mode=Mode.SANDBOX), 2, host="elsewhere").conduct()
    assert run.end is End.FAILED
    assert "banksim sandbox --host 0.0.0.0" in run.message
