"""What a balance may be that is read while movements go on."""

from __future__ import annotations

import random

import pytest

from banksim.measure.books import ExpectedBalances
from banksim.run.invariant import MovementBooks


@pytest.fixture
def books() -> MovementBooks:
    made = MovementBooks(ExpectedBalances())
    for account in ("a", "b"):
        move(made, [(account, 1_000)])
    return made


def move(books: MovementBooks, legs: list[tuple[str, int]], certain: bool = True) -> None:
    books.begins(legs)
    end(books, legs, certain)


def end(books: MovementBooks, legs: list[tuple[str, int]], certain: bool = True) -> None:
    for account, cents in legs:
        books.on_movement(account, cents, certain)
    books.ends(legs)


def test_at_rest_there_is_one_balance(books: MovementBooks) -> None:
    with books.reading() as window:
        assert window.range_of("a") == (1_000, 1_000)


def test_what_is_under_way_may_or_may_not_be_in_it(books: MovementBooks) -> None:
    transfer = [("a", -300), ("b", 300)]
    books.begins(transfer)
    with books.reading() as window:
        assert window.range_of("a") == (700, 1_000)
        assert window.range_of("b") == (1_000, 1_300)
        end(books, transfer)
        # The answer came while the balance was read: it may still be the one from before.
        assert window.range_of("a") == (700, 1_000)
    with books.reading() as window:
        assert window.range_of("a") == (700, 700)


def test_what_begins_during_the_reading_counts_too(books: MovementBooks) -> None:
    with books.reading() as window:
        move(books, [("a", -50)])
        move(books, [("a", 20)])
        assert window.range_of("a") == (950, 1_020)
    with books.reading() as window:
        assert window.range_of("a") == (970, 970)


def test_an_unknown_movement_is_allowed_for_ever(books: MovementBooks) -> None:
    with books.reading() as window:
        move(books, [("a", -50)], certain=False)
        assert window.range_of("a") == (950, 1_000)
    with books.reading() as window:
        assert window.range_of("a") == (950, 1_000)


def test_a_refused_movement_leaves_nothing(books: MovementBooks) -> None:
    legs = [("a", -50)]
    books.begins(legs)
    books.ends(legs)
    with books.reading() as window:
        assert window.range_of("a") == (1_000, 1_000)


@pytest.mark.parametrize("seed", range(20))
def test_an_honest_bank_is_never_accused(seed: int) -> None:
    """Movements begin, are booked and end in any order around any number of readings."""
    rng = random.Random(seed)
    accounts = ["a", "b", "c"]
    books, bank = MovementBooks(ExpectedBalances()), dict.fromkeys(accounts, 0)
    for account in accounts:
        move(books, [(account, 10_000)])
        bank[account] = 10_000
    under_way: list[tuple[list[tuple[str, int]], bool]] = []
    checked = 0
    for _ in range(600):
        step = rng.random()
        if step < 0.4:
            payer, payee = rng.sample(accounts, 2)
            cents = rng.randint(1, 500)
            legs = [(payer, -cents), (payee, cents)]
            books.begins(legs)
            under_way.append((legs, False))
        elif step < 0.8 and under_way:
            place = rng.randrange(len(under_way))
            legs, booked = under_way.pop(place)
            if not booked:
                for account, cents in legs:
                    bank[account] += cents
                under_way.append((legs, True))
            else:
                end(books, legs, certain=rng.random() < 0.9)
        else:
            with books.reading() as window:
                seen: dict[str, int] = {}
                for account in accounts:
                    for _ in range(rng.randint(0, 2)):  # something moves while the bank reads
                        legs = [(account, rng.choice([-7, 9]))]
                        books.begins(legs)
                        bank[account] += legs[0][1]
                        end(books, legs)
                    seen[account] = bank[account]
                for account, cents in seen.items():
                    low, high = window.range_of(account)
                    assert low <= cents <= high
                    checked += 1
    assert checked > 150
