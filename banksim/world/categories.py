"""Categories of merchants: what they sell, their ISO 18245 code, and when they are open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, cast

import yaml


@dataclass(frozen=True, slots=True)
class Category:
    """A category word and what goes with it.

    ``opens`` and ``closes`` are clock hours, closing exclusive; 0 and 24 mean always.
    ``kinds`` are the nouns its shops' names end in.
    """

    name: str
    code: str
    in_store: bool
    online: bool
    is_bill: bool
    per_million: float
    opens: int
    closes: int
    kinds: tuple[str, ...]

    def is_open(self, hour: int) -> bool:
        return self.opens <= hour < self.closes


@dataclass(frozen=True, slots=True)
class ShopWords:
    """Words that shop names are built from; none is a brand, none says anything of a shop's honesty."""

    words: tuple[str, ...]
    quarters: tuple[str, ...]


@lru_cache(maxsize=1)
def load_categories() -> Mapping[str, Category]:
    """All categories by word, read-only."""
    return MappingProxyType({name: _category(name, raw) for name, raw in _content()["categories"].items()})


@lru_cache(maxsize=1)
def load_shop_words() -> ShopWords:
    content = _content()
    return ShopWords(tuple(content["words"]), tuple(content["quarters"]))


def _category(name: str, raw: Mapping[str, Any]) -> Category:
    opens, closes = raw.get("open", (0, 24))
    sold = raw["sold"]
    return Category(
        name=name,
        code=raw["code"],
        in_store="in_store" in sold,
        online="online" in sold,
        is_bill="bill" in sold,
        per_million=float(raw["per_million"]),
        opens=opens,
        closes=closes,
        kinds=tuple(raw["kinds"]),
    )


def _content() -> dict[str, Any]:
    text = files("banksim.world").joinpath("merchants.yaml").read_text("utf-8")
    return cast(dict[str, Any], yaml.safe_load(text))
