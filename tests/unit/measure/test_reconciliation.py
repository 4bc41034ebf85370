import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import ExpectedBalances
from banksim.measure import compare as typed_compare
from banksim.measure.books import Fault, not_checked
from banksim.measure.results import encode


def compare(*arguments, **options) -> dict:
    """The comparison as it stands in results.json."""
    return encode(typed_compare(*arguments, **options))


def books() -> ExpectedBalances:
    made = ExpectedBalances()
    made.open("a", 1_000)
    made.open("b", 0)
    made.debited("a", 300, certain=True)
    made.credited("b", 300, certain=True)
    return made


def test_agreeing_balances() -> None:
    verdict = compare(books(), {"a": 700, "b": 300, "someone else's": 5})
    assert verdict["balanced"] is True
    assert (verdict["accounts"], verdict["differences"], verdict["unread"]) == (2, [], 0)


def test_a_missing_cent_is_found() -> None:
    verdict = compare(books(), {"a": 700, "b": 299})
    assert verdict["balanced"] is False
    assert verdict["differences"] == [
        {
            "account": "b",
            "expected_low_cents": 300,
            "expected_high_cents": 300,
            "actual_cents": 299,
            "difference_cents": -1,
            "fault": "unexplained",
            "sim_s": None,
            "wall_s": None,
        }
    ]
    assert (verdict["verdict"], verdict["by_fault"]) == (
        "differences",
        {"unexplained": {"accounts": 1, "cents": -1}},
    )


def test_an_unknown_movement_is_tolerated_within_its_amount_only() -> None:
    made = books()
    made.debited("a", 50, certain=False)
    for actual, balanced in ((700, True), (650, True), (649, False), (701, False)):
        verdict = compare(made, {"a": actual, "b": 300})
        assert verdict["balanced"] is balanced, actual
        assert verdict["tolerated"] == int(balanced)


def test_nothing_read_is_no_verdict() -> None:
    verdict = compare(books(), {})
    assert verdict["balanced"] is None and verdict["unread"] == 2
    assert (verdict["verdict"], verdict["reason"]) == (
        "not checked",
        "not one of 2 accounts could be read",
    )
    assert not_checked(books(), "too many").reason == "too many"


@pytest.mark.parametrize(
    ("actual", "fault", "cents"),
    [
        ({"a": 400, "b": 300}, "doubled", -300),  # the debit was booked twice
        ({"a": 700, "b": 600}, "doubled", 300),  # the credit was booked twice
        ({"a": 1_000, "b": 300}, "lost", 300),  # the debit was never booked
        ({"a": 700, "b": 0}, "lost", -300),  # the credit was never booked
        ({"a": 701, "b": 300}, "unexplained", 1),
    ],
)
def test_what_a_difference_probably_is(actual: dict[str, int], fault: str, cents: int) -> None:
    verdict = compare(books(), actual)
    assert verdict["by_fault"] == {fault: {"accounts": 1, "cents": cents}}
    assert verdict["differences"][0]["fault"] == fault


def test_an_account_that_is_gone_took_its_money_along() -> None:
    verdict = compare(books(), {"a": 700}, gone={"b"})
    assert verdict["verdict"] == "differences"
    assert verdict["by_fault"] == {"account gone": {"accounts": 1, "cents": -300}}
    empty = ExpectedBalances()
    empty.open("c", 0)
    assert compare(empty, {}, gone={"c"})["by_fault"] == {"account gone": {"accounts": 1, "cents": 0}}


def test_the_sum_over_all_accounts_is_told() -> None:
    made = books()
    made.debited("a", 50, certain=False)
    assert compare(made, {"a": 700, "b": 300})["total"] == {
        "expected_low_cents": 950,
        "expected_high_cents": 1_000,
        "actual_cents": 1_000,
        "accounts": None,
    }


def test_remembered_amounts_are_bounded_and_only_name_differences() -> None:
    made = ExpectedBalances(max_amounts=1)
    made.open("a", 0)
    made.credited("a", 5, certain=True)
    made.credited("a", 7, certain=True)
    assert made.to_state()["amounts"] == {"a": [5]}
    assert compare(made, {"a": 19})["differences"][0]["fault"] == "unexplained"


def test_the_bound_is_counted() -> None:
    made = ExpectedBalances(max_accounts=1)
    made.open("a", 1)
    made.open("b", 1)
    made.credited("a", 1, certain=True)
    made.credited("b", 1, certain=True)
    assert made.overflow == 2


def test_the_largest_differences_are_listed_and_all_are_counted() -> None:
    made = ExpectedBalances()
    for number in range(10):
        made.open(f"n{number}", 0)
    verdict = compare(made, {f"n{number}": number for number in range(10)}, max_differences=2)
    assert [row["difference_cents"] for row in verdict["differences"]] == [9, 8]
    assert verdict["differing"] == 9 and verdict["difference_cents"] == 45


MOVES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 999), st.booleans(), st.booleans()), max_size=30
)


def apply(made: ExpectedBalances, moves: list[tuple[str, int, bool, bool]]) -> None:
    for account, cents, certain, inward in moves:
        (made.credited if inward else made.debited)(account, cents, certain)


@settings(max_examples=40, deadline=None)
@given(MOVES, st.integers(0, 30))
def test_merged_books_equal_the_whole(moves: list[tuple[str, int, bool, bool]], cut: int) -> None:
    whole, left, right, merged = (
        ExpectedBalances(),
        ExpectedBalances(),
        ExpectedBalances(),
        ExpectedBalances(),
    )
    for made in (whole, left):
        made.open("a", 500)
    apply(whole, moves)
    apply(left, moves[:cut])
    apply(right, moves[cut:])
    for part in (left, right):
        merged.merge_state(json.loads(json.dumps(part.to_state())))
    assert merged.to_state() == whole.to_state()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-(10**5), 10**5)), max_size=60))
def test_movements_in_columns_count_as_one_by_one(moves: list[tuple[str, int]]) -> None:
    one_by_one, at_once = ExpectedBalances(max_amounts=60), ExpectedBalances(max_amounts=60)
    for account, cents in moves:
        if cents >= 0:
            one_by_one.credited(account, cents, certain=True)
        else:
            one_by_one.debited(account, -cents, certain=True)
    places = np.array([at_once.place_of(account) for account, _ in moves], np.int64)
    at_once.acknowledged(places, np.array([cents for _, cents in moves], np.int64))
    assert at_once.to_state() == one_by_one.to_state()
    for account, cents in moves:
        assert at_once.fault_of(account, cents) == Fault.DOUBLED


def test_many_amounts_are_remembered_up_to_the_bound_in_little_memory() -> None:
    made = ExpectedBalances(max_amounts=20_000)
    for number in range(30_000):
        made.credited(f"a{number % 50}", number, certain=True)
    amounts = made.to_state()["amounts"]
    assert sum(map(len, amounts.values())) == 20_000
    assert amounts["a7"][:3] == [7, 57, 107]
    assert (made.fault_of("a7", 57), made.fault_of("a7", -57)) == (Fault.DOUBLED, Fault.LOST)
    assert made.fault_of("a7", 58) == made.fault_of("nobody", 58) == Fault.UNEXPLAINED
    tracemalloc.start()
    for number in range(100_000):
        made.credited(f"a{number % 50}", 10**6 + number, certain=True)
    assert tracemalloc.get_traced_memory()[1] < 50_000
    tracemalloc.stop()


def test_an_amount_beyond_all_measure_is_counted_and_not_remembered() -> None:
    made = ExpectedBalances()
    made.open("a", 0)
    made.credited("a", 1 << 50, certain=True)
    assert made.range_of("a") == (1 << 50, 1 << 50)
    assert made.fault_of("a", 1 << 50) == Fault.UNEXPLAINED
