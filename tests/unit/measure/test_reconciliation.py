import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.measure import ExpectedBalances
from banksim.measure import compare as typed_compare
from banksim.measure.books import Fault
from banksim.measure.comparison import not_checked
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


# -- Movements whose answer never came --------------------------------------------------------------


def unanswered(*movements: tuple[tuple[str, int], ...]) -> ExpectedBalances:
    made = ExpectedBalances()
    for account_id in ("a", "b", "c"):
        made.open(account_id, 100_000)
    for movement in movements:
        made.not_answered(movement)
    return made


def transfer(payer: str, payee: str, cents: int) -> tuple[tuple[str, int], ...]:
    return (payer, -cents), (payee, cents)


@pytest.mark.parametrize(
    ("a", "b", "agrees"),
    [
        (100_000, 100_000, True),
        (90_000, 110_000, True),
        (90_000, 100_000, False),  # debited only
        (100_000, 110_000, False),  # credited only
        (95_000, 105_000, False),  # between the bounds, and no choice comes to it
        (90_000, 120_000, False),  # credited twice
    ],
)
def test_an_unanswered_transfer_is_booked_whole_or_not_at_all(a: int, b: int, agrees: bool) -> None:
    verdict = compare(unanswered(transfer("a", "b", 10_000)), {"a": a, "b": b, "c": 100_000})
    assert verdict["balanced"] is agrees
    low, high = verdict["total"]["expected_low_cents"], verdict["total"]["expected_high_cents"]
    assert low == high == 300_000, "a transfer between accounts does not loosen the sum"


def test_half_a_transfer_is_named() -> None:
    verdict = compare(unanswered(transfer("a", "b", 10_000)), {"a": 90_000, "b": 100_000, "c": 100_000})
    assert verdict["by_fault"] == {"half booked": {"accounts": 1, "cents": -10_000}}


@pytest.mark.parametrize("off", [0, 1, -1])
def test_a_balance_must_be_reachable_by_some_choice(off: int) -> None:
    made = unanswered((("a", 7_000),), (("a", -500),), (("a", 3_333),), transfer("a", "b", 900))
    verdict = compare(made, {"a": 100_000 + 7_000 - 900 + off, "b": 100_900, "c": 100_000})
    assert verdict["balanced"] is (off == 0)


def test_what_one_balance_leaves_no_choice_about_holds_for_the_next() -> None:
    # a and b alone could have come about otherwise; with c, half of the second transfer is missing.
    made = unanswered(transfer("a", "b", 100), transfer("b", "c", 100))
    assert compare(made, {"a": 100_000, "b": 99_900, "c": 100_100})["balanced"] is True
    assert compare(made, {"a": 99_900, "b": 100_000, "c": 100_100})["balanced"] is True
    assert compare(made, {"a": 99_900, "b": 100_000, "c": 100_000})["balanced"] is False


def test_equal_transfers_that_cannot_be_told_apart_still_add_up() -> None:
    made = unanswered(*(transfer("a", "b", 100) for _ in range(4)))
    assert compare(made, {"a": 99_800, "b": 100_200, "c": 100_000})["balanced"] is True
    verdict = compare(made, {"a": 99_700, "b": 100_200, "c": 100_000})
    assert verdict["balanced"] is False
    assert verdict["differences"][0]["account"] == "all accounts"


def test_the_choice_travels_with_the_state_of_a_worker() -> None:
    merged = unanswered()
    state = json.loads(json.dumps(unanswered(transfer("a", "b", 10_000)).to_state()))
    merged.merge_state({**state, "opening": {}})
    assert compare(merged, {"a": 90_000, "b": 100_000, "c": 100_000})["balanced"] is False
    assert compare(merged, {"a": 90_000, "b": 110_000, "c": 100_000})["balanced"] is True


def test_too_many_to_try_are_judged_within_their_amounts() -> None:
    made = unanswered(*((("a", 1_000 + n),) for n in range(40)))
    assert compare(made, {"a": 100_003, "b": 100_000, "c": 100_000})["balanced"] is True
    assert compare(made, {"a": 200_000, "b": 100_000, "c": 100_000})["balanced"] is False


def test_accounts_that_were_not_read_make_it_partly_checked() -> None:
    verdict = compare(unanswered(), {"a": 100_000})
    assert (verdict["verdict"], verdict["balanced"], verdict["unread"]) == ("partly checked", None, 2)
    assert compare(unanswered(), {"a": 1})["verdict"] == "differences"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(1, 500), st.booleans()),
        max_size=12,
    )
)
def test_an_honest_bank_is_never_accused(drawn) -> None:
    made = unanswered()
    actual = dict.fromkeys("abc", 100_000)
    for payer, payee, cents, booked in drawn:
        movement = transfer(payer, payee, cents) if payer != payee else ((payer, -cents),)
        made.not_answered(movement)
        for account_id, change in movement if booked else ():
            actual[account_id] += change
    assert compare(made, actual)["balanced"] is True
