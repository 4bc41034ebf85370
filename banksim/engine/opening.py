"""Opening customers at the bank before they act, many at a time.

A customer is a handful of calls (customer, KYC, accounts, first deposits), so a large
population takes a while; progress is counted for whoever wants to show it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from gevent.pool import Pool

from banksim.domain import BanksimError
from banksim.systems import NexumClient
from banksim.world import Customer, Population

logger = logging.getLogger(__name__)

#: Customers being opened at once.
CONCURRENCY = 16
#: Progress is told once opening takes longer than this, and then this often.
TELL_EVERY_S = 2.0


class Opening:
    """Opens customers and knows how far it is."""

    def __init__(
        self, bank: NexumClient, population: Population, on_open: Callable[[Customer], None] | None = None
    ) -> None:
        """``on_open`` hears of every customer the bank has opened; it must not wait."""
        self._bank = bank
        self._on_open = on_open
        self._population = population
        self._stopped = False
        self.total = 0
        self.done = 0
        self.failed = 0
        self.first_error = ""

    def open_all(self, indices: Iterable[int], total: int, tell: Callable[[str], None]) -> None:
        """Open ``total`` customers; tells its progress when that takes over two seconds.

        Raises BanksimError when not one of them could be opened.
        """
        self.total = total
        pool = Pool(CONCURRENCY)
        started_s = told_s = time.monotonic()
        for index in indices:
            if self._stopped:
                break
            pool.spawn(self._open, index)  # waits while the pool is full
            if time.monotonic() - told_s >= TELL_EVERY_S:
                told_s = time.monotonic()
                tell(self._progress(told_s - started_s))
        pool.join()
        if self.total and self.failed == self.total:
            raise BanksimError(
                f"The bank opened none of {self.total:,} customers: {self.first_error}. "
                "If this is not the bank that was meant, check --nexum-url."
            )
        if self.failed:
            tell(f"{self.failed:,} of {self.total:,} customers could not be opened: {self.first_error}")

    def stop(self) -> None:
        """Open no further customers."""
        self._stopped = True

    def _open(self, index: int) -> None:
        try:
            customer = self._population.customer(index)
            self._bank.open_customer(customer)
            if self._on_open is not None:
                self._on_open(customer)
        except BanksimError as error:
            self.failed += 1
            self.first_error = self.first_error or str(error)
        self.done += 1

    def _progress(self, elapsed_s: float) -> str:
        share = self.done / self.total
        left_s = elapsed_s / share - elapsed_s if share else 0.0
        bar = "█" * round(20 * share) + "░" * (20 - round(20 * share))
        return f"Opening customers {bar} {self.done:,} of {self.total:,}, about {left_s:.0f} s left"
