"""Which of the population the bank knows, and under which ids.

The bank lists neither customers nor accounts, so what it answered when they were opened is
the only way back to them: this directory is the one place that remembers.  It grows with
the population (about 350 bytes each) and never beyond it.

Somebody the bank does not know (no bank in the run, or not opened yet) still needs names
on the detector's wire: stable opaque ids, a pure function of the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from banksim.domain import AccountRef


class AccountDirectory:
    """Customer index → the bank's customer id and account ids by slot."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._opened: dict[int, tuple[str, ...]] = {}  # customer id, then account ids by slot
        self._account_count = 0

    def add(self, index: int, customer_id: str, account_ids: Sequence[str]) -> None:
        """Remember an opened customer.  Raises ValueError when the index is already open."""
        if index in self._opened:
            raise ValueError(f"customer {index} is already open")
        self._opened[index] = (customer_id, *account_ids)
        self._account_count += len(account_ids)

    def row(self, index: int) -> tuple[str, list[str]] | None:
        """(customer id, account ids by slot) of an open customer: what `add` takes elsewhere."""
        entry = self._opened.get(index)
        return (entry[0], list(entry[1:])) if entry else None

    def is_open(self, index: int) -> bool:
        return index in self._opened

    def customer_id(self, index: int) -> str | None:
        """The bank's id of a customer, None when not open."""
        entry = self._opened.get(index)
        return entry[0] if entry else None

    def account_id(self, ref: AccountRef) -> str | None:
        """The bank's id of an account, None when the customer is not open or has no such slot."""
        entry = self._opened.get(ref.customer_index)
        if entry is None or not 0 <= ref.slot < len(entry) - 1:
            return None
        return entry[ref.slot + 1]

    def wire_customer_id(self, index: int) -> str:
        """The bank's id, or an opaque one that never changes."""
        entry = self._opened.get(index)
        return entry[0] if entry else self._opaque("customer", index)

    def wire_account_id(self, ref: AccountRef) -> str:
        """The bank's id, or an opaque one that never changes."""
        return self.account_id(ref) or self._opaque("account", ref.customer_index, ref.slot)

    def accounts(self) -> Iterator[tuple[AccountRef, str]]:
        """Every open account with the bank's id, in order of opening."""
        for index, (_, *account_ids) in self._opened.items():
            for slot, account_id in enumerate(account_ids):
                yield AccountRef(index, slot), account_id

    @property
    def customer_count(self) -> int:
        return len(self._opened)

    @property
    def account_count(self) -> int:
        return self._account_count

    def _opaque(self, *names: str | int) -> str:
        digits = blake2b(repr((self._seed, *names)).encode(), digest_size=16).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
