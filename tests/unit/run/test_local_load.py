"""The load of one process is whole from the start, and closes everything that it opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent
import pytest

from banksim.measure.counts import NotOpened
from banksim.measure.results import Account, decode, encode
from banksim.model import AccountRef, BanksimError
from banksim.run import local_load as module
from banksim.run.dispatcher import ANY_PERSONA, FRAUD_SEAT, UserQueues
from banksim.run.kafka import Brokers
from banksim.run.local_load import LocalLoad, prepare_local_load
from banksim.run.plan import Mode, RunSettings, build_parts
from banksim.run.run import End
from banksim.run.timekeeper import Timekeeper
from banksim.run.workers.intake import combined_accounts
from banksim.scenario import parse_scenario
from tests.unit.run.makers import Kept

SCENARIO = """\
name: One process
duration_hours: 1
speed_multiplier: 7200
customers: 20
arrivals: even
transaction_rate: {peak_tps: 60, off_peak_tps: 60}
fraud: {rate: 0}
"""


class Broker:
    closed = 0

    def close(self) -> None:
        self.closed += 1


def prepared(tmp_path: Path, more: str = "", sinks: Any = (), **options: Any) -> LocalLoad:
    scenario = parse_scenario(SCENARIO + more, "one.yaml", {})
    settings = RunSettings(scenario, 5, scenario.speed_multiplier, Mode.DRY_RUN, tmp_path, **options)
    plan = build_parts(scenario, 5, settings.speed)
    queues = UserQueues([ANY_PERSONA, FRAUD_SEAT])
    return prepare_local_load(settings, plan, Timekeeper(plan.clock), queues, Brokers(), sinks)


def played(load: LocalLoad) -> None:
    def work() -> None:
        while True:
            load.queues.take(ANY_PERSONA).carry_out()

    users = [gevent.spawn(work) for _ in range(5)]
    load.begin()
    load.wait()
    load.drain(End.COMPLETED)
    gevent.killall(users)


def test_what_opens_customers_is_not_measured_and_reaches_the_host(tmp_path: Path) -> None:
    host = Kept()
    with prepared(tmp_path, sinks=[host]) as load:
        assert "Measures" not in str(load.tee)
        said: list[str] = []
        load.open_customers(said.append)
        assert said == ["Opening customers at the bank"] and load.opening.done == load.known_customers == 20
        assert len(host.calls) > 20 and load.measures.calls.systems == []
        load.begin()
        assert str(load.tee) == "LastCalls, Kept, Feed, CustomerCounts, CampaignDriver, Measures"


def test_the_days_before_are_told_to_the_targets_alone(tmp_path: Path) -> None:
    host = Kept()
    with prepared(tmp_path, "history_days: 1\n", sinks=[host], transaction_log=True) as load:
        said: list[str] = []
        load.open_customers(said.append)
        assert said[1:] == ["Playing the days before the run"] and load.past.played is not None
        assert (load.past.played.planned, load.past.played.transactions) == (720, 720)
        assert load.opening.done == 720 and len(host.calls) < 200  # those that opened the customers
        opening_calls = list(host.calls)
        assert load.feed.items() == [] and load.measures.tally.offered == 0
        state = load.plan.activity.rows.state
        assert -86_400 < state.seen.sim_s.max() < 0  # people were somewhere, before the run
        targets = load.connected.targets
        ids = [targets.directory.account_id(AccountRef(index)) for index in range(20)]
        assert targets.bank is not None  # the plan goes on with the money that is there, but for refusals
        at_bank = [targets.bank.balance_cents(one or "") for one in ids]
        load.begin()
        assert targets.bank.balance_cents(ids[0] or "") is not None and len(host.calls) > len(opening_calls)
        assert sum(cents == planned for cents, planned in zip(at_bank, state.balances, strict=True)) >= 15


def test_a_history_that_is_stopped_ends_soon_and_says_so(tmp_path: Path) -> None:
    with prepared(tmp_path, "history_days: 9\n") as load:
        stopping = gevent.spawn(lambda: (gevent.sleep(0.05), load.stop(End.INTERRUPTED)))
        load.past.play(load.plan.activity)
        stopping.join()
        played = load.past.played
        assert played is not None and played.planned >= 6480 > played.transactions
        assert load.opening.text.startswith("playing 9 days of history: ")


def test_it_plays_a_whole_scenario_and_balances(tmp_path: Path) -> None:
    with prepared(tmp_path, transaction_log=True) as load:
        load.open_customers(lambda _: None)
        played(load)
        totals = load.totals(lambda _: None)
    tally = totals.measures.tally
    assert tally.offered == 30 and tally.started + tally.dropped == 30
    assert totals.reconciliation is not None and totals.reconciliation.verdict == "balanced"
    assert totals.account.transaction_log.lines == 30
    assert {row.name for row in load.target_rows()} == {"Nexum", "Bastion", "Kafka"}
    assert len(totals.feed) == tally.started


def test_companions_give_their_account(tmp_path: Path) -> None:
    more = "detector: {feedback: true}\nonboarding: {existing_share: 0.9}\n"
    with prepared(tmp_path, more) as load:
        account = load.account()
    assert account.feedback.fraud == 0
    assert account.onboarding == {"joined": 0, "rejected": 0, "failed": 0}
    assert load.plan.existing_customers == 18


def test_an_early_end_drops_what_no_user_took(tmp_path: Path) -> None:
    with prepared(tmp_path) as load:
        load.open_customers(lambda _: None)
        load.begin()
        running = gevent.spawn(load.wait)
        while load.backlog.in_flight < 5:
            gevent.sleep(0.01)
        load.stop(End.STOPPED)
        running.get(timeout=5)
        load.drain(End.STOPPED)
        assert load.backlog.in_flight == 0
        assert load.measures.tally.dropped == load.measures.tally.offered >= 5


def test_what_was_opened_is_closed_when_preparing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    connect, broker = module.connect, Broker()

    def noted(*args: Any) -> Any:
        opened.append(connect(*args))
        closed = opened[-1].close
        opened[-1] = broker
        return type(
            "Connected", (), {"targets": _Fails(), "close": lambda self: (broker.close(), closed())}
        )()

    class _Fails:
        bank = None

        @property
        def directory(self) -> Any:
            raise BanksimError("out of order")

    monkeypatch.setattr(module, "connect", noted)
    with pytest.raises(BanksimError, match="out of order"):
        prepared(tmp_path)
    assert broker.closed == 1


def test_fraud_that_was_planned_and_not_made_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with prepared(tmp_path) as load:
        assert load.account().fraud_not_made is None
        load.plan.desk.missed, load.plan.desk.starved = 2, 1
        assert load.account().fraud_not_made == {"missed": 2, "starved": 1, "faults": 0}
        told = decode(Account, encode(load.account()))  # as a worker would send it
        assert combined_accounts({1: told, 2: told}).fraud_not_made["missed"] == 4
    assert "2 campaigns would have followed after the end" in caplog.text


class Reluctant:
    """A bank that opens only customers with an even number."""

    def open_customer(self, customer: Any) -> bool:
        if customer.index % 2:
            raise BanksimError("no odd ones")
        return True


def test_customers_that_the_bank_does_not_open_are_in_the_account_of_all_workers(tmp_path: Path) -> None:
    with prepared(tmp_path) as load:
        opening = load.opener
        opening._bank = Reluctant()
        opening.open_all(range(10), 10, lambda _: None)
        opening.open_all([11, 12, 13], 3, lambda _: None)
        opening.open_all([1, 14], 2, lambda _: None)  # an odd one is tried again
        found = load.account()
    assert found.not_opened == NotOpened(14, 7, "no odd ones")
    both = combined_accounts({1: found, 2: Account(), 3: found}).not_opened
    assert both == NotOpened(28, 14, "no odd ones")
    assert combined_accounts({2: Account()}).not_opened is None
