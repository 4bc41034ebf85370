"""What comes in from the workers of one run, and what is kept of it.

    pulse ──► the member's progress, the feed; answered with an ack    opened ──► passed on
    state ──► merged counts, target rows                               final  ──► merged counts, accounts

Nothing here waits but `MergedCounts.refresh`: it runs in the loop that reads the messages of all workers.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from banksim.activity import OnboardingPlan
from banksim.measure import ExpectedBalances, Measures, MeasureSettings, Roster
from banksim.measure.counts import NotOpened
from banksim.measure.figures import HistoryPlayed
from banksim.measure.kafka import StreamFigures
from banksim.measure.results import Account, FaultMade, Feedback, FeedItem, LogFile, TargetRow
from banksim.run.process import in_thread
from banksim.run.run import End
from banksim.run.sink import FeedPage, ShownOf
from banksim.run.workers import messages
from banksim.run.workers.members import MAX_WORKERS, Member, Membership, Standing
from banksim.world import Population

logger = logging.getLogger(__name__)

# -- The workers' counts, added up: what the master shows and judges --------------------------------
#
# States arrive as bytes several times a second from each worker.  Reading and adding them is CPU
# work (some ms per worker), so it is done in a thread, at most once a second and only when
# something new has come; in between, the last sum stands.
#
# A message leaves its queue only after the sum that holds it is in place.  Counts are cumulative,
# so a message that is added up twice (the greenlet was killed in between) does no harm.
#
# Bound: MAX_WAITING states and one final per worker.


#: States of one worker that wait for the next sum; with more, the oldest are left out.
MAX_WAITING = 20


class MergedCounts:
    """The sum over all workers that have counted anything in this run."""

    def __init__(self, settings: MeasureSettings) -> None:
        self._settings = settings
        self.measures = Measures(settings)
        self.kafka = StreamFigures()
        #: Until when, in wall seconds of the run, each worker (by number) has been counted.
        self.counted_until_s: dict[int, float] = {}
        #: Messages whose counts could not be read.
        self.unreadable = 0
        self._roster = Roster(settings, MAX_WORKERS)
        self._keys = self.measures.to_state(books=False).keys()
        self._waiting: dict[int, deque[messages.Counts]] = {}
        self._ended: set[int] = set()
        self._newest: dict[int, int] = {}
        self._kafka_states: dict[int, Any] = {}
        self._one_at_a_time = BoundedSemaphore()

    def take(self, number: int, state: messages.State) -> None:
        """A state of the worker with this number; one older than the last is left out."""
        if number in self._ended or state.seq <= self._newest.get(number, 0):
            return
        self._newest[number] = state.seq
        waiting = self._waiting.setdefault(number, deque(maxlen=MAX_WAITING))
        if state.from_s <= self.counted_until_s.get(number, 0.0):
            waiting.clear()  # the stretches of the others are in this one too
        waiting.append(state)

    def take_final(self, number: int, final: messages.Final) -> None:
        """The last counts of the worker with this number, with its books; the first final counts."""
        if number not in self._ended:
            self._ended.add(number)
            self._waiting[number] = deque([final])

    def refresh(self) -> bool:
        """Add up what has come; False when nothing has.  Other greenlets run meanwhile."""
        with self._one_at_a_time:
            taken = {number: list(waiting) for number, waiting in self._waiting.items() if waiting}
            if not taken:
                return False
            self.measures = in_thread(lambda: self._sum(taken))
            for number, (*_, counted) in taken.items():
                self._forget(number, counted)
            kafka = StreamFigures()
            for state in self._kafka_states.values():
                kafka.merge_state(state)
            self.kafka = kafka
            return True

    def _forget(self, number: int, counted: messages.Counts) -> None:
        """The sum holds everything of this worker up to ``counted``."""
        self.counted_until_s[number] = counted.wall_s
        waiting = self._waiting[number]
        while waiting and waiting[0].seq <= counted.seq:
            waiting.popleft()

    @property
    def uncounted(self) -> int:
        """States that were refused since too many workers have counted before."""
        return self._roster.refused

    def in_flight(self, number: int) -> int:
        """What the sum holds of this worker as offered and not ended."""
        return self._roster.in_flight(str(number))

    def _sum(self, taken: Mapping[int, Sequence[messages.Counts]]) -> Measures:
        for number, waiting in taken.items():
            for counted in waiting:
                self._read(number, counted.counts)
        try:
            return self._roster.total()
        except Exception as first:  # read one by one they were whole: some do not fit the others
            odd = self._roster.drop_odd()
            if not odd:
                raise
            for process, error in odd.items():
                self._left_out(process, error)
            logger.debug("Counts did not add up: %r", first)
            return self._roster.total()

    def _left_out(self, number: int | str, error: Exception) -> None:
        self.unreadable += 1
        if self.unreadable == 1:
            why = f"{type(error).__name__}: {error}"
            logger.error("Counts of worker %s cannot be read, and are left out: %s", number, why)

    def _read(self, number: int, content: bytes) -> None:
        try:
            counts = orjson.loads(content)
            measures, kafka = counts["measures"], counts["kafka"]
            if not self._keys <= measures.keys():
                raise ValueError("counts are missing")
            Measures(self._settings).merge(measures)  # what cannot be added up must not stop the sum of all
            if kafka is not None:
                StreamFigures().merge_state(kafka)
                self._kafka_states[number] = kafka
        except Exception as error:
            self._left_out(number, error)
            return
        self._roster.update(str(number), measures)


# -- Customers that workers have opened at the bank, passed on to all other workers -----------------
#
# The bank has no list of customers, so only the worker that opened one knows the ids.  A payment to
# that customer may start at any worker, and the customer may change hands.  The master keeps every
# row for workers that join late: about 300 bytes a customer, bounded by the population.


class OpenedCustomers:
    """Every customer that is open, as far as the workers have reported."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._rows: dict[int, messages.OpenedRow] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def without_balance(self, books: ExpectedBalances, customers: Population | OnboardingPlan) -> int:
        """How many accounts were opened with money that the expected balances do not know of.

        ``customers`` as the bank was to open them.
        """
        return sum(
            1
            for index, _, accounts in self._rows.values()
            for slot, account_id in enumerate(accounts)
            if account_id not in books.opening
            and any(
                spec.opening_balance_cents > 0
                for spec in customers.customer(index).accounts[slot : slot + 1]  # merchants' have none
            )
        )

    def take(self, opened: messages.Opened) -> messages.Directory:
        """Rows from a worker; returns those that are new, for the other workers.

        A worker that was frozen and its heir may both have opened a customer: the first one counts.
        """
        fresh = [row for row in opened.rows if row[0] not in self._rows]
        self._rows.update((row[0], row) for row in fresh)
        return messages.Directory(run=self._run_id, rows=fresh, joined=opened.joined)

    def directory(self) -> Iterable[messages.Directory]:
        """Everything so far, for a worker that joins."""
        rows = list(self._rows.values())
        for first in range(0, len(rows), messages.ROWS):
            yield messages.Directory(run=self._run_id, rows=rows[first : first + messages.ROWS], joined=True)


# -- One feed out of the samples of all workers, numbered in the order of arrival -------------------


class MergedFeed:
    """The last ``max_items`` items of all workers; a `banksim.run.sink.FeedView`."""

    def __init__(self, max_items: int) -> None:
        self._items: deque[FeedItem] = deque(maxlen=max_items)
        self._sequence = 0
        self._seen: dict[int, int] = {}

    def take(self, number: int, seen: int, items: Iterable[FeedItem]) -> None:
        """New items of the worker with this number, and how many transactions it has seen in all."""
        self._seen[number] = seen
        for item in items:
            self._items.append(replace(item, seq=self._sequence))
            self._sequence += 1

    def since(self, sequence: int) -> FeedPage:
        items = [item for item in self._items if item.seq >= sequence]
        return FeedPage(self._sequence, ShownOf(self._sequence, sum(self._seen.values())), items)

    def items(self) -> list[FeedItem]:
        return list(self._items)


# -- What workers report besides their counts, as one -----------------------------------------------


def combined_targets(
    addresses: Mapping[str, str], rows: Mapping[int, Sequence[TargetRow]]
) -> list[TargetRow]:
    """One row for each target: it does as badly as it does for the worst-off worker."""
    found = {name.capitalize(): TargetRow(name=name.capitalize(), url=url) for name, url in addresses.items()}
    for number, own in sorted(rows.items()):
        for row in own:
            known = found.get(row.name) or TargetRow(name=row.name, url=row.url)
            detail = f"worker {number}: {row.detail}" if row.ok is False and row.detail else row.detail
            latencies_ms = [ms for ms in (known.latency_ms, row.latency_ms) if ms is not None]
            found[row.name] = replace(
                known,
                ok=row.ok if row.ok is False or known.ok is None else known.ok,
                detail=known.detail or detail,
                latency_ms=max(latencies_ms, default=None),
            )
    return list(found.values())


def combined_accounts(accounts: Mapping[int, Account]) -> Account:
    """Sums and lists over all workers."""
    every = [account for _, account in sorted(accounts.items())]
    feedback = _sums(asdict(account.feedback) for account in every if account.feedback)
    closed = [account.not_opened for account in every if account.not_opened is not None]
    logs = [account.transaction_log for account in every if account.transaction_log is not None]
    return Account(
        circuits=[
            replace(circuit, system=f"{circuit.system} (worker {number})")
            for number, account in sorted(accounts.items())
            for circuit in account.circuits
        ],
        faults=_combined_faults([account.faults for account in every if account.faults]),
        not_opened=NotOpened(
            sum(one.customers for one in closed), sum(one.failed for one in closed), closed[0].first_error
        )
        if closed
        else None,
        history=_combined_history([account.history for account in every if account.history is not None]),
        onboarding=_sums(account.onboarding for account in every if account.onboarding) or None,
        fraud_not_made=_sums(account.fraud_not_made for account in every if account.fraud_not_made) or None,
        feedback=Feedback(**feedback) if feedback else None,
        transaction_log=LogFile(
            file="transactions-N.csv, one for each worker",
            lines=sum(log.lines for log in logs),
            lost=sum(log.lost for log in logs),
            files=sorted(log.file for log in logs),
        )
        if logs
        else None,
    )


def _combined_history(workers: Sequence[HistoryPlayed]) -> HistoryPlayed | None:
    """Each plans the whole past, and tells what its own customers did."""
    return (
        HistoryPlayed(
            workers[0].days,
            max(one.planned for one in workers),
            sum(one.transactions for one in workers),
            sum(one.not_taken for one in workers),
            max(one.seconds for one in workers),
        )
        if workers
        else None
    )


def _combined_faults(workers: Sequence[Sequence[FaultMade]]) -> list[FaultMade]:
    """What each fault did, where every worker has made them in its own stand-ins."""
    return [
        replace(
            made[0],
            begun=any(one.begun for one in made),
            affected=None if made[0].affected is None else sum(one.affected or 0 for one in made),
        )
        for made in zip(*workers, strict=False)
    ]


def _sums(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            total[name] = total.get(name, 0) + value
    return total


#: A worker's lease lasts longer than this, so not every pulse needs an answer.
ACK_EVERY_S = 0.4


class Intake:
    """Takes in the messages of one run.  Each sets ``changed``."""

    def __init__(
        self, run_id: str, settings: MeasureSettings, max_items: int, membership: Membership
    ) -> None:
        self.counts = MergedCounts(settings)
        self.feed = MergedFeed(max_items)
        self.opened = OpenedCustomers(run_id)
        self.changed = Event()
        #: Whether the run was ended before its time.
        self.ended = False
        #: How each target does, as each worker sees it, and each worker's last message.  By number.
        self.target_rows: dict[int, list[TargetRow]] = {}
        self.finals: dict[int, messages.Final] = {}
        #: What each worker counted in the step of a search for capacity that is being judged.
        self.steps: dict[int, messages.StepCounts] = {}
        self._run_id = run_id
        self._membership = membership
        self._shortage_ms = 0.0

    def hear(self, member: Member, message: messages.FromWorker) -> None:
        """A message about this run.  Returns at once."""
        if member.standing is Standing.LOST:
            self._membership.return_of(member)
        match message:
            case messages.Pulse():
                self._take_pulse(member, message)
            case messages.State():
                self._take_state(member, message)
            case messages.Opened():
                self._pass_on(member, self.opened.take(message))
            case messages.Refused():
                self._take_refusal(member, message)
            case messages.Final():
                self._take_final(member, message)
        self.changed.set()

    @property
    def ending(self) -> bool:
        """Whether every worker is to send its final now."""
        return self.ended or self._membership.time_is_over

    def shortage_ms(self) -> float:
        """The longest an arrival waited for a busy user at any worker, since the last call."""
        worst_ms, self._shortage_ms = self._shortage_ms, 0.0
        return worst_ms

    def wait(self, timeout_s: float) -> None:
        """Until a message arrives, or the time is over."""
        self.changed.wait(timeout_s)
        self.changed.clear()

    def _take_pulse(self, member: Member, pulse: messages.Pulse) -> None:
        member.pulse = pulse
        now_s = time.monotonic()
        self._shortage_ms = max(self._shortage_ms, pulse.shortage_ms)
        self.feed.take(member.number, pulse.seen, pulse.items)
        if pulse.prepared and self._membership.assignment and not self.ending:
            self._admit(member)
        if now_s - member.acked_s >= ACK_EVERY_S:
            member.acked_s = now_s
            count = len(self._membership.live)
            ack = messages.Ack(
                run=self._run_id,
                at_s=pulse.at_s,
                master_s=now_s,
                pulse_s=messages.pulse_every_s(count),
                state_s=messages.state_every_s(count),
            )
            self._membership.tell(member, ack)

    def _admit(self, member: Member) -> None:
        """A worker that joins a run with an assignment gets a share as soon as it is prepared."""
        if member.standing is Standing.PREPARING:
            self._membership.join(member)

    def _take_state(self, member: Member, state: messages.State) -> None:
        self.counts.take(member.number, state)
        self.target_rows[member.number] = state.targets
        if state.step is not None:
            self.steps[member.number] = state.step

    def _pass_on(self, opener: Member, directory: messages.Directory) -> None:
        for member in self._membership.involved:
            if member is not opener:
                self._membership.tell(member, directory)

    def _take_refusal(self, member: Member, refused: messages.Refused) -> None:
        logger.error("%s cannot take part: %s", member.name, refused.reason)
        self._membership.leave(member, Standing.REFUSED, refused.reason)

    def _take_final(self, member: Member, final: messages.Final) -> None:
        self.counts.take_final(member.number, final)
        self.finals.setdefault(member.number, final)
        self._membership.tell(member, messages.Bye(run=self._run_id))
        if member.standing is Standing.FINAL:
            return
        # By a hair a worker's clock may be over before the master's: that is no early end.
        if final.end != End.COMPLETED and not self.ending:
            logger.warning("%s leaves the run", member.name)
            member.leaving = True
            self._membership.leave(member, Standing.FINAL)
        else:
            member.standing = Standing.FINAL
