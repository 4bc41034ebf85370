"""After a run: does every account that was touched hold what the bank acknowledged?

Stand-ins tell all balances at once, page by page.  A real bank is asked account by
account, some at a time, after the last transaction has ended and outside of the figures.

No verdict is a verdict too: a bank that is down, too many accounts, or too little time end
in "not checked" with the reason, and never in a run without a report.

The books of a run against live targets are kept next to its results, so that
`banksim reconcile` can ask the bank again later.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import gevent
import orjson
from gevent.pool import Pool

from banksim.measure.books import ExpectedBalances
from banksim.measure.comparison import Agreement, compare, not_checked
from banksim.measure.figures import Reconciliation
from banksim.model import BanksimError
from banksim.report.console import headline
from banksim.run.connect import Connected, credentials, read_balances
from banksim.run.plan import Mode, RunSettings
from banksim.run.process import in_thread
from banksim.scenario.models import Invariant
from banksim.targets import CA_FILE, ClientSettings, NexumClient, Transport, http_targets, probe

logger = logging.getLogger(__name__)

#: Accounts read at once from a real bank.
CONCURRENCY = 16
#: More accounts than this are not read one by one: at 200 a second it would take minutes.
MAX_ACCOUNTS = 20_000
#: Wall seconds for reading; what is not read by then is said to be unread.
MAX_READ_S = 120.0
#: Accounts in a row that could not be read, after which the rest is not tried.
GIVE_UP_AFTER = 50
#: Wall seconds between two readings of what did not agree.
AGAIN_S = 0.5
#: Accounts listed in the results.
MAX_LISTED = 100
BOOKS_FILE = "books.json"


@dataclass(slots=True)
class Balances:
    """What could be read: cents by account id, accounts the bank does not have, and the first problem."""

    cents: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    problem: str = ""


def reconcile(
    books: ExpectedBalances, connected: Connected, currency: str, settle_s: float = 0.0
) -> Reconciliation:
    """Compare, whatever kind of bank the run had.

    What differs or could not be read is read again for ``settle_s`` wall seconds: a bank may acknowledge
    a movement before it shows in a balance.
    """
    found = _compare(books, connected, settle_s)
    verdict = Agreement(found.verdict)
    level = logging.INFO if verdict is Agreement.BALANCED else logging.WARNING
    logger.log(level, "Balances: %s", headline(found, currency))
    return found


def _compare(books: ExpectedBalances, connected: Connected, settle_s: float) -> Reconciliation:
    bank = connected.targets.bank
    if bank is None:
        return not_checked(books, "the run had no bank")
    if ledger := connected.ledger:
        return settled(books, lambda names: _all_balances(ledger, names), settle_s)
    if len(books.opening) > MAX_ACCOUNTS:
        count = f"{len(books.opening):,} accounts were touched"
        return not_checked(books, f"{count}; more than {MAX_ACCOUNTS:,} are not read one by one")
    return settled(books, lambda names: read_accounts(bank, names), settle_s)


def settled(
    books: ExpectedBalances, read: Callable[[Iterable[str]], Balances], settle_s: float
) -> Reconciliation:
    """The comparison, once it agrees or after ``settle_s`` wall seconds of reading the rest again."""
    found = read(books.opening)
    until_s = time.monotonic() + settle_s
    while True:
        verdict = in_thread(partial(compare, books, found.cents, len(books.opening), gone=found.gone))
        if verdict.balanced or not verdict.accounts or time.monotonic() >= until_s:
            return _listed(verdict, found)
        gevent.sleep(AGAIN_S)
        doubtful = {row.account for row in verdict.differences}
        doubtful |= {name for name in books.opening if name not in found.cents and name not in found.gone}
        again = read(doubtful & books.opening.keys())
        found.problem = again.problem
        found.gone = (found.gone - again.cents.keys()) | again.gone
        found.cents |= again.cents


def _listed(verdict: Reconciliation, found: Balances) -> Reconciliation:
    """With the reason for what could not be read, and no more differences than a report holds."""
    reason = verdict.reason
    if found.problem and verdict.unread:
        reason = f"{verdict.unread:,} accounts could not be read: {found.problem}"
    return replace(verdict, reason=reason, differences=verdict.differences[:MAX_LISTED])


def read_accounts(
    bank: NexumClient,
    account_ids: Iterable[str],
    concurrency: int = CONCURRENCY,
    max_read_s: float = MAX_READ_S,
) -> Balances:
    """Read these accounts, ``concurrency`` at a time, until ``max_read_s`` wall seconds are over."""
    found = Balances()
    until_s = time.monotonic() + max_read_s
    missed_in_a_row = 0

    def read(account_id: str) -> None:
        nonlocal missed_in_a_row
        if time.monotonic() >= until_s:
            found.problem = found.problem or f"{max_read_s:g} s were over"
            return
        if missed_in_a_row >= GIVE_UP_AFTER:
            return
        reply = bank.read_balance(account_id, told=False)
        if reply.cents is not None:
            found.cents[account_id] = reply.cents
        elif reply.gone:
            found.gone.add(account_id)
        else:
            missed_in_a_row += 1
            found.problem = found.problem or reply.error
            return
        missed_in_a_row = 0

    pool = Pool(concurrency)
    for account_id in account_ids:
        pool.spawn(read, account_id)  # waits while the pool is full
    pool.join()
    return found


def _all_balances(ledger: Transport, wanted: Iterable[str]) -> Balances:
    """From the stand-in, which lists all: an account that is not in the list is gone."""
    try:
        cents = read_balances(ledger)
    except BanksimError as error:
        return Balances(problem=str(error))
    return Balances(cents, {account_id for account_id in wanted if account_id not in cents})


def keep_books(settings: RunSettings, books: ExpectedBalances) -> None:
    """Leave the books next to the results, when there is a bank that can be asked again."""
    url = settings.scenario.connections.nexum_url
    if settings.mode is not Mode.LIVE or not url or len(books.opening) > MAX_ACCOUNTS:
        return
    content = {"nexum_url": url, "currency": settings.scenario.currency, "books": books.to_state()}
    try:
        (settings.folder / BOOKS_FILE).write_bytes(orjson.dumps(content))
    except OSError as error:
        logger.warning("%s is not kept, `banksim reconcile` cannot ask again: %s", BOOKS_FILE, error)


@dataclass(frozen=True, slots=True)
class KeptBooks:
    nexum_url: str
    currency: str
    books: ExpectedBalances


def load_books(folder: Path) -> KeptBooks | None:
    """The books kept next to a run's results, None when there are none.  Raises BanksimError when damaged."""
    path = folder / BOOKS_FILE
    if not path.is_file():
        return None
    try:
        content = orjson.loads(path.read_bytes())
        books = ExpectedBalances()
        books.merge_state(content["books"])
        return KeptBooks(str(content["nexum_url"]), str(content["currency"]), books)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BanksimError(f"{path} cannot be read: {error}") from None


def ask_again(kept: KeptBooks) -> Reconciliation | str:
    """Read every account of kept books now; a sentence when the bank does not answer."""
    problem = probe(kept.nexum_url, ca_file=os.environ.get(CA_FILE, ""))
    if problem:
        return problem
    settings = credentials(ClientSettings(seed=0, currency=kept.currency))
    targets = http_targets(kept.nexum_url, "", settings)
    if targets.bank is None:
        return "The kept books name no bank."
    try:
        bank = targets.bank
        return settled(kept.books, lambda names: read_accounts(bank, names), Invariant().settle_seconds)
    finally:
        targets.close()
