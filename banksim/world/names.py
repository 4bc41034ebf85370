"""Names, streets and e-mail addresses, cheap by the million.

Faker knows the names of a locale but takes tens of microseconds for each; so a few
hundred of every word are drawn from it once per seed, and customers combine them with
their own random stream.  Words drawn in proportion to their real frequency appear in
the lists that often, so common names stay common.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from faker import Faker

from banksim.domain import ScenarioError
from banksim.world.streams import stream_key

WORDS_PER_LIST = 400
STREETS_PER_LIST = 300
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
#: Reserved by RFC 2606: no mail can ever reach anybody.
_MAIL_DOMAINS = ("example.com", "example.net", "example.org", "mail.example.com")


@dataclass(frozen=True, slots=True)
class NameBook:
    """Word lists of one locale under one seed."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    streets: tuple[str, ...]
    # The same names in ASCII, for e-mail addresses; "" where nothing of a name is left.
    first_ascii: tuple[str, ...]
    last_ascii: tuple[str, ...]

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, locale: str, seed: int) -> NameBook:
        """Raises ScenarioError when Faker does not know the locale."""
        try:
            fake = Faker(locale)
        except (AttributeError, ValueError, ImportError) as error:
            raise ScenarioError([f"locale: '{locale}' is not a locale Faker knows"]) from error
        fake.seed_instance(stream_key(seed, "names", locale))
        first_names = _words(fake.first_name, WORDS_PER_LIST)
        last_names = _words(fake.last_name, WORDS_PER_LIST)
        return cls(
            first_names,
            last_names,
            _words(fake.street_name, STREETS_PER_LIST),
            tuple(map(ascii_letters, first_names)),
            tuple(map(ascii_letters, last_names)),
        )

    def email(self, first: int, last: int, number: int, rng: random.Random) -> str:
        """An ASCII address; ``number`` makes it unique, since names hold no digits."""
        local = ".".join(part for part in (self.first_ascii[first], self.last_ascii[last]) if part) or "mail"
        return f"{local}{number}@{_MAIL_DOMAINS[int(rng.random() * len(_MAIL_DOMAINS))]}"


def ascii_letters(text: str) -> str:
    """Lower-case a–z of ``text`` with accents taken off; other scripts leave nothing."""
    plain = text.replace("ß", "ss").replace("ø", "o").replace("ł", "l").replace("æ", "ae")
    decomposed = unicodedata.normalize("NFKD", plain).lower()
    return "".join(letter for letter in decomposed if "a" <= letter <= "z")


def fill_shape(shape: str, rng: random.Random) -> str:
    """``shape`` with every # a digit and every ? a capital letter."""
    text = ""
    for run in _runs(shape):
        if run[0] == "#":
            text += f"{int(rng.random() * 10 ** len(run)):0{len(run)}d}"
        elif run[0] == "?":
            text += "".join(_LETTERS[int(rng.random() * 23)] for _ in run)
        else:
            text += run
    return text


@lru_cache(maxsize=256)
def _runs(shape: str) -> tuple[str, ...]:
    """``shape`` cut where one kind of mark ends and another begins."""
    return tuple(re.findall(r"#+|\?+|[^#?]+", shape))


def _words(draw: Callable[[], str], count: int) -> tuple[str, ...]:
    return tuple(draw() for _ in range(count))
