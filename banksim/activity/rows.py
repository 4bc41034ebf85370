"""The planner of rows: genuine transactions for arrivals, a block at a time.

    moments ─► drafts (`row_drafts`) ─► settled, level by level ─► `Block`

A row's random numbers follow from its number, and rows of one customer are settled in their order:
so the same rows come out however they are cut into blocks.  Customers rarely overdraw: a sum
above the planned balance mostly becomes a smaller one, or money paid in.  Where arrivals come faster than
people can move, customers stay where they are: the same shop again, or the phone in their hand.

Rows that were planned and not sent can be taken back; what they did to balances and places is undone.

Not handled: what fraud and refusals do to balances (`book` them), months of different lengths, customers in
other time zones than the bank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from banksim.activity import row_drafts
from banksim.activity.block import (
    BILL,
    CHANNEL_CODES,
    FUNDS,
    KIND_CODES,
    LIMIT,
    MOBILE,
    ONLINE,
    POS,
    PURCHASE,
    TRANSFER,
    WITHDRAWAL,
    WORD,
    WORDS,
    Block,
    Legend,
    card_fails,
    descriptions,
    genuine_truths,
    is_credit_kind,
)
from banksim.activity.finder import SEEN_COLUMNS, ActivityScenario, Eligible, RowState, Seen, funded, levels
from banksim.activity.habits import HabitColumns
from banksim.activity.journeys import Degrees
from banksim.activity.payments import Payment, Payments
from banksim.activity.prices import PriceColumns
from banksim.activity.row_drafts import CHARGE, CHEQUE, GOES_BACK, INTEREST, SURPLUS, DraftMaker, Drafts
from banksim.model import CREDIT_KINDS, Channel
from banksim.world import World
from banksim.world.columns import DEGREE
from banksim.world.places import KM_PER_DEGREE
from banksim.world.random import Bools, Draws, Floats, Ints

#: Sums that are more than there is and are tried anyway: set so that the bank refuses some of a hundred
#: payments, most of them for lack of funds (see docs/realism.md).
OVERDRAWS = 0.85
FROM_SAVINGS_SHARE = 0.6
CITY_SPEED_KMH = 60.0
#: After this long everything in a city is within reach (its parts are under 30 km apart).
ANYWHERE_AFTER_S = 30 * 60
#: The settlement of a card takes this part of what is above so much of what customers like to keep: so
#: balances stay about where they were (see docs/realism.md).
SETTLED_SHARE, KEEPS = 0.9, 0.15
#: Interest on savings a month (4 % a year), the charge for each of at most so many returned bills,
#: in dollar-like units (judgement).
MONTHLY_INTEREST, RETURNED_UNITS, MOST_RETURNED = 0.04 / 12, 12.0, 5
#: Different texts that payments of a user's own may have in a run.
MAX_OWN_TEXTS = 10_000
DAY_S = 86_400


@dataclass(slots=True)
class LastSeen:
    """Where the customers of some rows were last, and how long ago.

    ``recent`` marks for whom that still limits where they can be.
    """

    seen: Seen
    since_s: Floats
    recent: Bools

    def out_of_reach(self, at: Ints, latitude: Degrees, longitude: Degrees) -> Bools:
        """Whether there was no time to get to a place since; ``at`` are positions among the rows."""
        north = (latitude - self.seen.latitude[at]) * (KM_PER_DEGREE / DEGREE)
        stretch = np.cos(latitude * (np.pi / 180 / DEGREE))
        east = (longitude - self.seen.longitude[at]) * (KM_PER_DEGREE / DEGREE) * stretch
        far: Bools = np.hypot(north, east) > self.since_s[at] * (CITY_SPEED_KMH / 3600)
        return self.recent[at] & far


@dataclass(frozen=True, slots=True)
class Undo:
    """What `RowPlanner.take_back` needs of a block's rows, equally long columns.

    ``account`` and ``other`` are positions among the balances, ``moved`` the cents that moved.
    ``is_tight`` marks rows that are what they are because the balance did not cover what was drafted.
    """

    seen: Seen
    account: Ints
    other: Ints
    moved: Ints
    is_credit: Bools
    day: Ints
    paid_after: Ints
    missing: Ints
    is_tight: Bools


class RowPlanner:
    """Plans genuine transactions for one process."""

    def __init__(
        self,
        world: World,
        scenario: ActivityScenario | None = None,
        shard: int = 0,
        payments: Sequence[Payment] = (),
    ) -> None:
        """``shard`` tells processes that share a run apart: each draws from streams of its own.

        With an onboarding block the customers who join during the run start with a
        planned balance of zero; `book` their first deposits.  ``payments`` are kinds of a user's own.
        """
        self._world = world
        people = world.population.people
        personas = list(world.personas.values())
        self.state = RowState(world, funded(world, scenario))
        self.eligible = Eligible()
        habits = HabitColumns(world)
        shops = habits.shops
        prices = PriceColumns(world.currency, personas, shops.categories)
        self._shops, self._prices, self._limits = shops, prices, people.limits_cents
        own = Payments(payments, world, shard) if payments else None
        self._drafts = DraftMaker(world, shard, self.state, habits, prices, self.eligible, own)
        self._afford = Draws(world.seed, "rows", shard, "afford")
        self._purchase_words = len(WORDS)
        self._bill_words = self._purchase_words + len(shops.merchants)
        self._cities = people.map.codes
        self._returned_cents = prices.one.cents(RETURNED_UNITS * prices.one.scale)
        self._texts = descriptions(shops)
        self._own_words: dict[str, int] = {}
        self.legend = Legend(
            world.currency,
            world.start_epoch_s,
            tuple(world.personas),
            shops.merchants,
            tuple(people.map.codes),
            self._texts,
            genuine_truths(tuple(world.personas)),
            Draws(world.seed, "rows", shard, "ids"),
            people.devices,
            habits.device_keys,
        )
        #: Arrivals for which no customer was found.
        self.unplanned = 0

    def plan(self, first_row: int, sim_s: Floats) -> Block:
        """Rows for arrivals at these simulated seconds, in order; the first of them is ``first_row``.

        Arrivals for which none of `row_drafts.MAX_DRAWS` random customers would do have no row; those are
        counted in ``unplanned``.
        """
        drafts = self.draft(first_row, sim_s)
        return self.settle(drafts, 0, len(drafts))

    def draft(self, first_row: int, sim_s: Floats) -> Drafts:
        """The first half of `plan`: who does what, before balances are looked at."""
        drafts = self._drafts.make(first_row, sim_s)
        self.unplanned += len(drafts.missing)
        return drafts

    def settle(self, made: Drafts, start: int, end: int) -> Block:
        """The second half, for the drafts from ``start`` to ``end`` (exclusive), one part after the other."""
        drafts = made.part(start, end)
        count = len(drafts)
        state, slots = self.state, self.state.slots
        before, moved = np.zeros(count, np.int64), np.zeros(count, np.int64)
        declined, is_tight = np.zeros(count, np.int64), np.zeros(count, bool)
        found = state.seen.of(drafts.customer)
        account, other = np.zeros(count, np.int64), np.full(count, -1, np.int64)
        for at in _in_levels(drafts):
            customer = drafts.customer[at]
            seen = state.seen.of(customer)
            found.put(at, seen)
            since_s = drafts.sim_s[at] - seen.sim_s
            last = LastSeen(seen, since_s, since_s < ANYWHERE_AFTER_S)
            if drafts.own:
                is_tight[at] = self._pay_own(drafts, at, last)
            self._stay_in_reach(drafts, at, last)
            settles = drafts.settles[at]
            counts = np.bincount(settles, minlength=row_drafts.SETTLED_KINDS).tolist()
            if counts[0] < len(at):
                self._settle_sums(drafts, at, settles, counts)
            if is_special := bool((drafts.fails[at] > 0).any()):
                is_tight[at] |= self._go_over(drafts, at)
            is_tight[at] |= self._afford_rows(drafts, at, last) | (settles == SURPLUS)
            account[at] = customer * slots + drafts.slot[at]
            before[at] = state.balances[account[at]]
            paid = drafts.other[at] >= 0
            other[at] = np.where(paid, drafts.other[at] * slots + drafts.other_slot[at], -1)
            amount, is_credit = drafts.amount[at], is_credit_kind(drafts.kind[at])
            reason = (~is_credit & (amount > before[at])) * FUNDS
            declined[at] = reason = self._declined(drafts, at, reason) if is_special else reason
            moved[at] = np.where(reason > 0, 0, amount)
            state.move_apart(account[at], other[at], moved[at], is_credit)
            self._see(drafts, at, seen)
            self._remember(drafts, at, settles, counts, reason > 0)
        undo = Undo(
            found, account, other, moved, is_credit_kind(drafts.kind),
            drafts.day, drafts.paid_after, drafts.missing, is_tight,
        )  # fmt: skip
        return self._block(drafts, before, declined, undo)

    def unsettle(self, block: Block, start: int, end: int | None = None) -> None:
        """Undo what the rows from position ``start`` to ``end`` (exclusive) did to balances and places.

        What was settled later must be undone before.  The drafts may be settled again.
        """
        undo = undo_of(block)
        state, rows = self.state, slice(start, end)
        state.move(undo.account[rows], undo.other[rows], undo.moved[rows], undo.is_credit[rows], -1)
        before = Seen(*(getattr(undo.seen, name)[rows] for name in SEEN_COLUMNS))
        state.forget(block.customer[rows], before)

    def take_back(self, block: Block, from_row: int) -> None:
        """Undo the rows from ``from_row`` on as if they had never been planned; later blocks first."""
        start = int(np.searchsorted(block.row, from_row))
        self.unsettle(block, start)
        undo = undo_of(block)
        self.unplanned -= int(np.count_nonzero(undo.missing >= from_row))
        for position in reversed((start + np.flatnonzero(undo.paid_after[start:] >= 0)).tolist()):
            persona, day = int(block.persona[position]), int(undo.day[position])
            if day < 0:
                self._drafts.bills.next[persona] = int(undo.paid_after[position])
            else:
                self._drafts.salaries.paid[persona, day] = int(undo.paid_after[position])
        planned = np.concatenate([block.row[:1], undo.missing[:1]])
        first = max(from_row, int(planned.min())) if len(planned) else from_row
        self._drafts.finder.forget(first)

    # ---- settling

    def _pay_own(self, drafts: Drafts, at: Ints, last: LastSeen) -> Bools:
        """Put payments of a user's own in the place of drafts, where they can be reached and afforded.

        Returns for which rows there was not enough money.
        """
        is_short = np.zeros(len(at), bool)
        for among, position in enumerate(at.tolist()):
            own = drafts.own.get(position)
            if own is None:
                continue
            one, place = np.array([among]), own.place
            north, east = (np.array([round(d * DEGREE)], np.int32) for d in (place.latitude, place.longitude))
            if own.channel is Channel.POS and last.out_of_reach(one, north, east)[0]:
                continue
            available = self.state.balances[drafts.customer[position] * self.state.slots]
            if own.kind not in CREDIT_KINDS and own.amount_cents > available:
                is_short[among] = True
                continue
            drafts.kind[position], drafts.channel[position] = KIND_CODES[own.kind], CHANNEL_CODES[own.channel]
            drafts.amount[position], drafts.slot[position] = own.amount_cents, own.slot
            drafts.latitude[position], drafts.longitude[position] = north[0], east[0]
            drafts.city[position] = self._cities[place.city, place.country]
            merchant, other = own.merchant, own.counterparty
            drafts.merchant[position] = -1 if merchant is None else self._shops.codes[merchant.merchant_id]
            drafts.other[position] = -1 if other is None else other.customer_index
            drafts.other_slot[position] = 0 if other is None else other.slot
            drafts.words[position] = self._word(own.description)
            drafts.settles[position] = 0
            is_short[among] = own.slot > 0  # what the main account covers another may not
        return is_short

    def _word(self, text: str) -> int:
        """The code of a text of a user's own; beyond `MAX_OWN_TEXTS` of them, that of the last."""
        code = self._own_words.get(text)
        if code is None:
            if len(self._own_words) >= MAX_OWN_TEXTS:
                return len(self._texts) - 1
            code = self._own_words[text] = len(self._texts)
            self._texts.append(text)
        return code

    def _go_over(self, drafts: Drafts, at: Ints) -> Bools:
        """Make transfers of people with more than their limit exceed it; returns which hang on that."""
        wishes: Bools = drafts.fails[at] == LIMIT
        held = self.state.balances[drafts.customer[rows := at[wishes]] * self.state.slots]
        limits, part = self._limits[drafts.persona[rows]], self._chance(drafts, 1)[rows]
        sums = self._prices.rounded((limits * (1.02 + 0.5 * part)).astype(np.int64), 10)
        fits = (sums <= held) & (sums > limits) & (drafts.slot[rows] == 0)
        drafts.amount[rows[fits]] = sums[fits]
        return wishes

    def _declined(self, drafts: Drafts, at: Ints, found: Ints) -> Ints:
        """Why a bank would refuse each row: the card before the limit, and that before the funds."""
        special = np.flatnonzero(drafts.fails[at] > 0)
        fails = drafts.fails[rows := at[special]]
        holds = card_fails(fails, drafts.kind[rows], drafts.channel[rows])
        holds |= (fails == LIMIT) & (drafts.amount[rows] > self._limits[drafts.persona[rows]])
        found[special[holds]] = fails[holds]
        return found

    def _stay_in_reach(self, drafts: Drafts, at: Ints, last: LastSeen) -> None:
        """Who had no time to get there stays where they are: the same shop again, or the net."""
        recent = np.flatnonzero(last.recent)
        if not len(recent):
            return
        rows = at[recent]
        far = recent[last.out_of_reach(recent, drafts.latitude[rows], drafts.longitude[rows])]
        rows = at[far]
        self._put(drafts, rows, last.seen, far)
        in_shop = (drafts.channel[rows] == POS) & (drafts.kind[rows] == PURCHASE)
        far, rows = far[in_shop], rows[in_shop]
        shop = last.seen.merchant[far].astype(np.int64)
        again = shop >= 0
        same, net = rows[again], rows[~again]
        if len(same):
            drafts.merchant[same] = shop[again]
            cents = self._drafts.price(drafts, same, shop[again])
            drafts.amount[same] = self._drafts.within_limit(drafts, same, cents)
        drafts.channel[net], drafts.merchant[net] = ONLINE, drafts.net_shop[net]
        drafts.amount[net] = drafts.net_cents[net]

    def _put(self, drafts: Drafts, rows: Ints, seen: Seen, at: Ints) -> None:
        """Put the rows at the places last seen."""
        drafts.city[rows], drafts.latitude[rows], drafts.longitude[rows] = (
            seen.city[at],
            seen.latitude[at],
            seen.longitude[at],
        )

    def _settle_sums(self, drafts: Drafts, at: Ints, settles: Ints, counts: list[int]) -> None:
        """Decide on sums that hang on what there is, or on what was before.

        A card's settlement is most of what is more than the customer likes to keep, interest a part of the
        savings; the account's fee is higher after bills that were returned.  A cheque is the money for the
        last purchase on the net that went back, if one did.
        """
        balances, slots, seen = self.state.balances, self.state.slots, self.state.seen
        sums = drafts.amount
        if counts[SURPLUS]:
            rows = at[settles == SURPLUS]
            customer = drafts.customer[rows]
            surplus = balances[customer * slots] - KEEPS * self.state.comfort[customer]
            most = np.maximum(sums[rows], (SETTLED_SHARE * surplus).astype(np.int64))
            limits = self._limits[drafts.persona[rows]]
            sums[rows] = self._prices.within(most, limits, self._chance(drafts, 1)[rows])
        if counts[INTEREST]:
            rows = at[settles == INTEREST]
            sums[rows] = np.maximum(1, MONTHLY_INTEREST * balances[drafts.customer[rows] * slots + 1])
        if counts[CHARGE]:
            rows = at[settles == CHARGE]
            returned = np.minimum(seen.returned[drafts.customer[rows]], MOST_RETURNED)
            sums[rows] += returned * self._returned_cents
        if counts[CHEQUE]:
            rows = at[settles == CHEQUE]
            bought = seen.bought_cents[drafts.customer[rows]]
            rows, bought = rows[bought > 0], bought[bought > 0]
            sums[rows], drafts.words[rows] = bought, WORD["Refund"]

    def _afford_rows(self, drafts: Drafts, at: Ints, last: LastSeen) -> Bools:
        """Make what the balance does not cover smaller, or money paid in; a few try all the same.

        Returns which rows were not covered.
        """
        available = self.state.balances[drafts.customer[at] * self.state.slots]
        is_short: Bools = ~is_credit_kind(drafts.kind[at]) & (drafts.amount[at] > available)
        short = np.flatnonzero(is_short)
        tries = self._chance(drafts, 0)[at[short]] < OVERDRAWS
        # Nobody tries with next to nothing.
        short = short[~tries | (available[short] < self._prices.one.cents(5 * self._prices.one.scale))]
        if len(short):
            fits = self._shrink(drafts, at[short], available[short])
            self._pay_in(drafts, at, short[~fits], last)
        return is_short

    def _chance(self, drafts: Drafts, k: int) -> Floats:
        """Number ``k`` of all rows, drawn once: levels are many and small."""
        found = drafts.chances.get(k)
        if found is None:
            found = drafts.chances[k] = self._afford.units(drafts.row, k)
        return found

    def _pay_in(self, drafts: Drafts, at: Ints, rest: Ints, last: LastSeen) -> None:
        """Money in for the rows at the positions ``rest`` of ``at``: from the own savings, or a deposit."""
        if not len(rest):
            return
        rest = rest[~self._from_savings(drafts, at[rest], last, rest)]
        rows = at[rest]
        if len(rows):
            self._drafts.pay_in(drafts, rows)
            self._go_home(drafts, rows)
            far = last.out_of_reach(rest, drafts.latitude[rows], drafts.longitude[rows])
            self._put(drafts, rows[far], last.seen, rest[far])

    def _shrink(self, drafts: Drafts, rows: Ints, available: Ints) -> Bools:
        """Make sums fit, in a way that still looks like it; returns for which rows there was one."""
        kind, one = drafts.kind[rows], self._prices.one
        part = (available * (0.2 + 0.5 * self._chance(drafts, 1)[rows])).astype(np.int64)
        is_round = part >= one.cents(20 * one.scale)
        is_round &= kind != PURCHASE
        sums = np.where(is_round, self._prices.rounded(np.maximum(part, 1), 5), part)
        sums = np.where(kind == WITHDRAWAL, part - part % one.note_cents, sums)
        # A withdrawal needs a note, a transfer something worth sending.
        fits: Bools = (sums >= one.cents(5 * one.scale)) & (sums <= available)
        fits &= (kind != BILL) & (drafts.bill[rows] < 0)
        drafts.amount[rows[fits]] = sums[fits]
        return fits

    def _from_savings(self, drafts: Drafts, rows: Ints, last: LastSeen, at: Ints) -> Bools:
        """Fetch money from the own savings where there are enough; returns for which rows."""
        one, slots = self._prices.one, self.state.slots
        done = np.zeros(len(rows), bool)
        for slot in range(1, slots):
            saved = self.state.balances[drafts.customer[rows] * slots + slot]
            share = 0.1 + 0.3 * self._chance(drafts, 2 + 2 * slot)[rows]
            part = self._prices.rounded((np.maximum(saved, 0) * share).astype(np.int64), 10)
            wants = self._chance(drafts, 3 + 2 * slot)[rows] < FROM_SAVINGS_SHARE
            fits = np.flatnonzero(~done & wants & (part >= one.cents(50 * one.scale)) & (part <= saved))
            moved = rows[fits]
            drafts.kind[moved], drafts.channel[moved], drafts.merchant[moved] = TRANSFER, MOBILE, -1
            drafts.slot[moved], drafts.other[moved], drafts.other_slot[moved] = (
                slot,
                drafts.customer[moved],
                0,
            )
            drafts.words[moved] = WORD["From savings"]
            drafts.amount[moved] = self._drafts.within_limit(drafts, moved, part[fits])
            self._go_home(drafts, moved)
            recent = fits[last.recent[at[fits]]]
            self._put(drafts, rows[recent], last.seen, at[recent])
            done[fits] = True
        return done

    def _go_home(self, drafts: Drafts, rows: Ints) -> None:
        """Put the rows where their customers stay."""
        drafts.city[rows], drafts.latitude[rows], drafts.longitude[rows] = (
            column[rows] for column in (drafts.stay_city, drafts.stay_latitude, drafts.stay_longitude)
        )

    def _see(self, drafts: Drafts, at: Ints, before: Seen) -> None:
        """Remember where the rows' customers are now; a shop as long as they stay in it."""
        customer, seen = drafts.customer[at], self.state.seen
        latitude, longitude = drafts.latitude[at], drafts.longitude[at]
        stays = (latitude == before.latitude) & (longitude == before.longitude)
        in_shop = drafts.channel[at] == POS
        seen.merchant[customer] = np.where(in_shop, drafts.merchant[at], np.where(stays, before.merchant, -1))
        seen.sim_s[customer], seen.city[customer] = drafts.sim_s[at], drafts.city[at]
        seen.latitude[customer], seen.longitude[customer] = latitude, longitude

    def _remember(self, drafts: Drafts, at: Ints, settles: Ints, counts: list[int], refused: Bools) -> None:
        """Keep what was bought and goes back, and count returned bills until the bank charges for them."""
        customers, seen = drafts.customer, self.state.seen
        if refused.any():
            rows = at[refused & (settles == 0)]
            seen.returned[customers[rows[drafts.kind[rows] == BILL]]] += 1
        if counts[CHARGE]:
            rows = at[(settles == CHARGE) & ~refused]
            seen.returned[customers[rows[drafts.kind[rows] == BILL]]] = 0
        if counts[GOES_BACK]:
            rows = at[(settles == GOES_BACK) & ~refused]
            rows = rows[drafts.kind[rows] == PURCHASE]
            seen.bought_cents[customers[rows]] = drafts.amount[rows]
        if counts[CHEQUE]:
            rows = at[settles == CHEQUE]
            seen.bought_cents[customers[rows[drafts.words[rows] == WORD["Refund"]]]] = 0

    def _block(self, drafts: Drafts, before: Ints, declined: Ints, undo: Undo) -> Block:
        kind, merchant = drafts.kind, drafts.merchant
        of_merchant = np.where(kind == BILL, self._bill_words, self._purchase_words) + merchant
        words = np.where(drafts.words < 0, of_merchant, drafts.words)
        return Block(
            self.legend, drafts.row, drafts.sim_s, drafts.customer, drafts.slot.astype(np.int8),
            drafts.persona.astype(np.int8), kind.astype(np.int8), drafts.channel.astype(np.int8),
            drafts.amount, merchant.astype(np.int32), drafts.other, drafts.other_slot.astype(np.int8),
            drafts.city.astype(np.int16), drafts.latitude / DEGREE, drafts.longitude / DEGREE,
            drafts.device, words.astype(np.int32), before, declined.astype(np.int8), undo,
        )  # fmt: skip


def _in_levels(drafts: Drafts) -> Iterator[Ints]:
    """The positions of the rows, level by level."""
    payees = [drafts.other, drafts.own_other] if drafts.own else [drafts.other]
    level = levels(drafts.customer, *payees)
    order = np.argsort(level, kind="stable")
    edges = np.searchsorted(level[order], np.arange(level.max(initial=-1) + 2))
    for start, end in pairwise(edges.tolist()):
        yield order[start:end]


def undo_of(block: Block) -> Undo:
    if not isinstance(block.undo, Undo):
        raise ValueError("the block was not planned here, or is a part of one")
    return block.undo
