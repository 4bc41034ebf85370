"""The ledger's invariants: nothing appears or vanishes, nothing is overdrawn, nothing is booked twice."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.sandbox.bank.api import open_database
from banksim.sandbox.bank.database import DatabaseError, StorageError
from banksim.sandbox.bank.ledger import (
    CARRIED_AT_ONCE,
    CurrencyMismatch,
    IdempotencyConflict,
    InsufficientFunds,
    Ledger,
    LedgerError,
    Leg,
    Posting,
    UnbalancedPosting,
    UnknownAccount,
)


def posting(
    number: int = 1, amount_cents: int = 100, currency: str = "USD", kind: str = "deposit"
) -> Posting:
    return Posting(f"t{number}", kind, amount_cents, currency, "d", "online", f"r{number}", float(number))


@pytest.fixture
def ledger():
    connection = open_database()
    books = Ledger(connection)
    books.open_account("a", "USD")
    books.open_account("b", "USD")
    books.open_account("card", "USD", floor_cents=-500)
    books.open_account("euro", "EUR")
    yield books
    connection.close()


def fund(ledger: Ledger, account: str, cents: int, number: int = 1, key: str | None = None) -> Posting:
    legs = [Leg(account, cents), Leg("gl:cash:USD", -cents)]
    return ledger.post(posting(number, cents), legs, key)


MOVE = st.tuples(
    st.sampled_from(["gl:cash:USD", "a", "b", "card", "missing"]),
    st.sampled_from(["gl:cash:USD", "a", "b", "card", "missing"]),
    st.integers(1, 2_000),
    st.one_of(st.none(), st.sampled_from(["k1", "k2", "k3"])),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVE, max_size=40))
def test_any_sequence_of_movements_keeps_the_books_balanced(moves):
    connection = open_database()
    books = Ledger(connection)
    for account, floor in (("a", 0), ("b", 0), ("card", -500)):
        books.open_account(account, "USD", floor_cents=floor)
    expected = {"a": 0, "b": 0, "card": 0, "gl:cash:USD": 0}
    keys: dict[str, tuple] = {}
    booked = 0
    for number, (source, target, cents, key) in enumerate(moves):
        floor = {"a": 0, "b": 0, "card": -500, "gl:cash:USD": -(10**15)}.get(source)
        possible = source in expected and target in expected and expected[source] - cents >= floor
        repeated = key in keys
        if repeated:
            possible = keys[key] == (source, target, cents)
        try:
            books.post(posting(number, cents), [Leg(source, -cents), Leg(target, cents)], key)
        except LedgerError:
            assert not possible
            continue
        assert possible
        if repeated:
            continue
        if key is not None:
            keys[key] = (source, target, cents)
        booked += 1
        expected[source] -= cents
        expected[target] += cents
    assert {account: books.balance_cents(account) for account in expected} == expected
    trial = books.trial_balance()
    assert trial.balanced and trial.postings == booked and trial.totals_cents == {"USD": 0}
    assert expected["a"] >= 0 and expected["b"] >= 0 and expected["card"] >= -500
    unbalanced = connection.rows(
        "SELECT COUNT(*) FROM (SELECT posting FROM legs GROUP BY posting HAVING SUM(amount_cents) <> 0)"
    )[0][0]
    assert unbalanced == 0
    connection.close()


@pytest.mark.parametrize(
    "legs",
    [
        [],
        [Leg("a", 5)],
        [Leg("a", 5), Leg("b", -4)],
        [Leg("a", 0), Leg("b", 0)],
        [Leg("a", 10**16), Leg("b", -(10**16))],
    ],
)
def test_legs_that_do_not_balance_are_refused(ledger, legs):
    with pytest.raises(UnbalancedPosting):
        ledger.post(posting(), legs)
    assert ledger.trial_balance().postings == 0


def test_a_posting_may_have_more_than_two_legs(ledger):
    fund(ledger, "a", 1_000)
    ledger.post(posting(2), [Leg("a", -300), Leg("b", 200), Leg("card", 100)])
    assert [ledger.balance_cents(account) for account in ("a", "b", "card")] == [700, 200, 100]
    assert ledger.trial_balance().balanced


def test_refusals_name_the_facts_and_write_nothing(ledger):
    fund(ledger, "a", 100)
    with pytest.raises(InsufficientFunds) as funds:
        ledger.post(posting(2), [Leg("a", -101), Leg("b", 101)])
    assert (funds.value.available_cents, funds.value.requested_cents) == (100, 101)
    with pytest.raises(UnknownAccount, match="nobody"):
        ledger.post(posting(3), [Leg("a", -1), Leg("nobody", 1)])
    with pytest.raises(CurrencyMismatch) as mismatch:
        ledger.post(posting(4), [Leg("a", -1), Leg("euro", 1)])
    assert (mismatch.value.account_currency, mismatch.value.currency) == ("EUR", "USD")
    assert ledger.balance_cents("a") == 100  # the first leg of the refused ones was rolled back
    assert ledger.trial_balance().postings == 1


def test_a_credit_line_goes_down_to_its_limit(ledger):
    ledger.post(posting(1), [Leg("card", -500), Leg("gl:cash:USD", 500)])
    with pytest.raises(InsufficientFunds) as funds:
        ledger.post(posting(2), [Leg("card", -1), Leg("gl:cash:USD", 1)])
    assert funds.value.available_cents == 0


def test_the_schema_itself_forbids_an_overdraft(ledger):
    with pytest.raises(StorageError, match="not_below_floor"):
        ledger._db.rows("UPDATE ledger_accounts SET balance_cents = -1 WHERE account_id = 'a'")


def test_a_repeated_key_answers_with_the_first_posting(ledger):
    first = fund(ledger, "a", 100, 1, "key")
    again = fund(ledger, "a", 100, 2, "key")
    assert again == first
    assert ledger.balance_cents("a") == 100
    with pytest.raises(IdempotencyConflict):
        fund(ledger, "a", 101, 3, "key")


def test_tampered_balances_are_found(ledger):
    fund(ledger, "a", 100)
    ledger._db.rows("UPDATE ledger_accounts SET balance_cents = 150 WHERE account_id = 'a'")
    trial = ledger.trial_balance()
    assert not trial.balanced
    assert trial.mismatched_accounts == 1
    assert trial.totals_cents["USD"] == 50


def test_balances_are_paged_in_id_order_without_internal_accounts(ledger):
    fund(ledger, "b", 70)
    assert ledger.balances("", 2) == [("a", 0), ("b", 70)]
    assert ledger.balances("b", 2) == [("card", 0), ("euro", 0)]


def test_history_is_newest_first_and_lists_a_self_transfer_once(ledger):
    fund(ledger, "a", 100, 1)
    ledger.post(posting(2, 40, kind="transfer_internal"), [Leg("a", -40), Leg("a", 40)])
    assert [entry.transaction_id for entry in ledger.history("a", 10)] == ["t2", "t1"]
    assert ledger.posting_count("a") == 2
    assert ledger.history("nobody", 10) == []


def test_a_file_survives_being_dropped_without_closing(tmp_path):
    path = tmp_path / "bank.db"
    connection = open_database(path)
    books = Ledger(connection)
    books.open_account("a", "USD")
    fund(books, "a", 100, 1, "key")
    connection.rows("BEGIN")  # a movement cut off half-way: never committed
    connection.rows("UPDATE ledger_accounts SET balance_cents = 0 WHERE account_id = 'a'")
    copied = tmp_path / "copy.db"
    for suffix in ("", "-wal"):
        source = tmp_path / f"bank.db{suffix}"
        if source.exists():
            (tmp_path / f"copy.db{suffix}").write_bytes(source.read_bytes())
    connection.close()
    reopened = open_database(copied)
    books = Ledger(reopened)
    assert books.balance_cents("a") == 100
    assert books.trial_balance().balanced
    assert fund(books, "a", 100, 2, "key").transaction_id == "t1"
    reopened.close()


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are not the books you are looking for" * 50)
    with pytest.raises(DatabaseError, match=r"notes\.txt"):
        open_database(path)


def test_a_posting_in_memory_is_fast(ledger):
    started = time.perf_counter()
    for number in range(2_000):
        fund(ledger, "a", 1, number)
    assert (time.perf_counter() - started) / 2_000 < 500e-6  # about 30 µs on an idle core


def test_a_bounded_history_carries_what_it_drops_forward():
    connection = open_database()
    books = Ledger(connection, max_postings=300)
    books.open_account("a", "USD")
    books.open_account("b", "USD")
    for number in range(1, 2_001):
        fund(books, "a" if number % 3 else "b", number, number, f"k{number}")
    kept = connection.one("SELECT COUNT(*) FROM postings")[0]
    assert 300 <= kept < 300 + CARRIED_AT_ONCE
    assert connection.one("SELECT COUNT(*) FROM idempotency_keys")[0] == kept
    assert connection.one("SELECT COUNT(*) FROM legs")[0] == 2 * kept + 3
    assert books.balance_cents("a") + books.balance_cents("b") == sum(range(1, 2_001))
    trial = books.trial_balance()
    assert trial.totals_cents == {"USD": 0}
    assert (trial.mismatched_accounts, trial.postings) == (0, 2_000)
    assert [p.transaction_id for p in books.history("a", 3)] == ["t2000", "t1999", "t1997"]
    assert books.posting_count("a") + books.posting_count("b") == kept
    connection.close()
