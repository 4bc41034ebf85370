"""The accomplices of one campaign, by post: a blocked one loses the post to the next.

A typology names posts (0, 1, 2 …), never keeps people, so that whoever holds a post when
money is sent is the one it goes to.  What a blocked account holds is lost: nobody passes it on.
In a small bank there may be fewer people than posts; then one holds several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from banksim.world import Customer

#: Replacements drawn before a post stays with somebody who was blocked already.
DRAWS = 8

#: Draws somebody who lends an account.
Recruit = Callable[[], Customer]


class Crew(Sequence[Customer]):
    """Accomplices by post.  ``blocked`` holds the indices of those who were replaced."""

    def __init__(self, recruit: Recruit, posts: int) -> None:
        self.blocked: set[int] = set()
        self._recruit = recruit
        people = (recruit() for _ in range(max(1, posts)))
        self._members = list({person.index: person for person in people}.values())

    def __len__(self) -> int:
        """Different people, at most as many as posts were asked for."""
        return len(self._members)

    @overload
    def __getitem__(self, post: int) -> Customer: ...
    @overload
    def __getitem__(self, post: slice) -> list[Customer]: ...
    def __getitem__(self, post: int | slice) -> Customer | list[Customer]:
        """Who holds ``post`` now; posts beyond the last person start again at the first."""
        if isinstance(post, slice):
            return self._members[post]
        return self._members[post % len(self._members)]

    def __iter__(self) -> Iterator[Customer]:
        return iter(self._members)

    def holds(self, index: int) -> bool:
        """Whether the customer of that population index has a post."""
        return any(person.index == index for person in self._members)

    def replace(self, index: int) -> None:
        """The account of that customer was blocked: somebody else takes the post."""
        self.blocked.add(index)
        for post, person in enumerate(self._members):
            if person.index == index:
                self._members[post] = self._successor(person)

    def _successor(self, blocked: Customer) -> Customer:
        for _ in range(DRAWS):
            person = self._recruit()
            if person.index not in self.blocked and not self.holds(person.index):
                return person
        return blocked
