"""The clients over real HTTP: a lifecycle at a strict bank, and the stand-ins as a child process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import orjson
import pytest
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from banksim.model import AccountRef, BankStatus, Channel, Decision, Kind
from banksim.targets import ClientSettings, SandboxProcess, Targets, http_targets, probe
from banksim.world import Population, load_personas
from tests.unit.targets.people import SHOP, Notebook, transaction
from tests.unit.targets.strict_bank import StrictBank

SETTINGS = ClientSettings(seed=1, timeout_s=10)


@contextmanager
def served(bank: StrictBank, wait_s: float = 0.0) -> Iterator[str]:
    """The strict bank behind HTTP, as strict about the content type as the real one."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        gevent.sleep(wait_s)
        raw = environ["wsgi.input"].read()
        if raw and environ.get("CONTENT_TYPE") != "application/json":
            status, data = 422, {"detail": [{"loc": ["body"], "msg": "content type"}]}
        else:
            body = orjson.loads(raw) if raw else None
            status, data = bank.handle(environ["REQUEST_METHOD"], environ["PATH_INFO"], {}, body)
        start_response(f"{status} X", [("Content-Type", "application/json")])
        return [orjson.dumps(data)]

    server = WSGIServer(("127.0.0.1", 0), app, log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.stop(timeout=0)


def lifecycle(targets: Targets, customers: int) -> list[BankStatus]:
    """Open some people, then let everybody do one thing of each kind, many at a time."""
    bank = targets.bank
    assert bank is not None
    population = Population(1, customers, load_personas())
    pool = Pool(8)
    opened = list(pool.imap(lambda index: bank.open_customer(population.customer(index)), range(customers)))
    assert opened == [True] * customers
    transactions = [
        transaction(
            kind,
            transaction_id=f"tx-{index}-{number}",
            account=AccountRef(index),
            counterparty=AccountRef((index + 1) % customers) if kind is Kind.TRANSFER else None,
            channel=list(Channel)[(index + number) % len(Channel)],
            amount_cents=1_25 + index,
        )
        for index in range(customers)
        for number, kind in enumerate([Kind.SALARY, Kind.DEPOSIT, Kind.TRANSFER, Kind.BILL_PAYMENT, *Kind])
    ]
    return [reply.status for reply in pool.imap(bank.post, transactions)]


def test_lifecycle_at_a_strict_bank() -> None:
    strict, notebook = StrictBank(), Notebook()
    with served(strict) as url:
        assert probe(url) is None
        targets = http_targets(url, "", SETTINGS, notebook, notebook)
        statuses = lifecycle(targets, customers=8)
        assert targets.bank is not None
        assert strict.refusals == []
        assert set(statuses) == {BankStatus.POSTED}
        for _, account_id in targets.directory.accounts():
            booked = sum(cents for moved, cents, certain in notebook.movements if moved == account_id)
            assert targets.bank.balance_cents(account_id) == booked
        targets.close()
    assert all(certain for _, _, certain in notebook.movements)
    references = [body["reference"] for _, body in strict.movements]
    assert len(set(references)) == len(references), "no movement was sent twice"
    assert [call for call in notebook.calls if call.error] == []


def test_movements_that_time_out_are_unknown_and_were_sent_once() -> None:
    strict, notebook = StrictBank(), Notebook()
    with served(strict) as url:
        targets = http_targets(url, "", SETTINGS)
        assert targets.bank is not None
        targets.bank.open_customer(Population(1, 1, load_personas()).customer(0))
        targets.close()
    before = len(strict.movements)
    with served(strict, wait_s=0.3) as url:
        slow = http_targets(url, "", ClientSettings(seed=1, timeout_s=0.1), notebook, notebook)
        assert slow.bank is not None
        ((_, account_id),) = list(targets.directory.accounts())[:1]
        slow.directory.add(0, targets.directory.customer_id(0) or "", [account_id])
        replies = [
            slow.bank.post(transaction(Kind.DEPOSIT, transaction_id=f"slow-{number}")) for number in range(3)
        ]
        while len(strict.movements) < before + 3:
            gevent.sleep(0.01)
        slow.close()
    assert [reply.status for reply in replies] == [BankStatus.UNKNOWN] * 3
    assert [certain for _, _, certain in notebook.movements] == [False] * 3
    assert len(strict.movements) == before + 3


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    pytest.importorskip("banksim.sandbox.detector.api")
    with SandboxProcess() as process:
        yield process


def test_stand_ins_take_the_whole_lifecycle(sandbox: SandboxProcess) -> None:
    notebook = Notebook()
    assert probe(sandbox.nexum_url) is None
    assert probe(sandbox.bastion_url, "Bastion") is None
    targets = http_targets(sandbox.nexum_url, sandbox.bastion_url, SETTINGS, notebook, notebook)
    assert targets.bank is not None
    assert targets.detector is not None
    assert set(lifecycle(targets, customers=8)) == {BankStatus.POSTED}
    for _, account_id in targets.directory.accounts():
        booked = sum(cents for moved, cents, certain in notebook.movements if moved == account_id)
        assert targets.bank.balance_cents(account_id) == booked
    score = targets.detector.score(transaction(merchant=SHOP))
    assert score.error == ""
    assert score.score is not None
    assert score.decision is not Decision.NONE
    assert all(health.ok for health in targets.health())
    targets.close()
    assert [call for call in notebook.calls if call.error] == []
