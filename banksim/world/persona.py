"""Personas (kinds of customers) from personas.yaml, and the categories of merchants.

A persona in the file is the file's ``defaults`` with its own keys merged over them,
key by key and level by level; a scenario's ``personas:`` mapping is merged the same way
over the finished persona of that name, or over the one named by ``based_on``.  So
``student: {tasks: {transfer: 0.5}}`` changes one weight and keeps the other five.

``spending`` multiplies the purchase medians of the layer below, so a ready ``Persona``
carries its final medians; a median that is written out is taken as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from banksim.model import Channel, Kind, ScenarioError
from banksim.world.places import world_file
from banksim.world.random import LogNormal

# -- Categories of merchants: what they sell, their ISO 18245 code, and when they are open ----------


@dataclass(frozen=True, slots=True)
class Category:
    """A category of merchants by its word.

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
    """Words that shop names are built from; none is a brand, and none reveals whether a shop is genuine."""

    words: tuple[str, ...]
    quarters: tuple[str, ...]


@lru_cache(maxsize=1)
def load_categories() -> Mapping[str, Category]:
    """All categories by word, read-only."""
    listed = world_file("merchants.yaml")["categories"]
    return MappingProxyType({name: _category(name, raw) for name, raw in listed.items()})


@lru_cache(maxsize=1)
def load_shop_words() -> ShopWords:
    content = world_file("merchants.yaml")
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


KycTier = Literal["tier_1", "tier_2", "tier_3"]

#: The most one payment may be, in whole units of any currency (the core bank's own limits).
TIER_LIMIT_UNITS: dict[str, int] = {"tier_1": 1_000, "tier_2": 10_000, "tier_3": 100_000}

Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Persona:
    """A kind of customer.  Weights are relative; amounts are in whole currency units.

    ``hourly`` has 24 and ``weekly`` 7 (Monday first) entries, each with a mean of 1.
    ``amounts`` is keyed by category word, and by kind for those without a merchant.
    """

    name: str
    share: float
    tempo: float
    tasks: Mapping[Kind, float]
    hourly: tuple[float, ...]
    weekly: tuple[float, ...]
    channels: Mapping[Kind, Mapping[Channel, float]]
    merchants: Mapping[str, float]
    online_merchants: Mapping[str, float]
    bills: Mapping[str, float]
    amounts: Mapping[str, LogNormal]
    income_units: float
    balance_factor: float
    kyc_tier: str
    ages: tuple[int, int]
    trips_per_month: float


class _Amount(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    median: Positive
    sigma: Annotated[float, Field(ge=0, le=3)]


class _PersonaSpec(BaseModel):
    """One persona as it stands in YAML, after merging."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    share: Weight
    tempo: Positive
    tasks: dict[Kind, Weight]
    hourly: Annotated[list[Weight], Field(min_length=24, max_length=24)]
    weekly: Annotated[list[Weight], Field(min_length=7, max_length=7)]
    channels: dict[Kind, dict[Channel, Weight]]
    merchants: dict[str, Weight]
    online_merchants: dict[str, Weight]
    bills: dict[str, Weight]
    amounts: dict[str, _Amount]
    income: Positive
    balance_factor: Positive
    kyc_tier: KycTier
    ages: tuple[Annotated[int, Field(ge=0, le=120)], Annotated[int, Field(ge=0, le=120)]]
    trips_per_month: Annotated[float, Field(ge=0, le=1)]

    @field_validator("tasks", "hourly", "weekly", "merchants", "online_merchants", "bills")
    @classmethod
    def _some_weight_is_positive(cls, value: Any) -> Any:
        weights = value.values() if isinstance(value, dict) else value
        if not sum(weights) > 0:
            raise ValueError("at least one value must be above 0")
        return value

    @field_validator("merchants", "online_merchants", "bills", "amounts")
    @classmethod
    def _known_categories(cls, value: dict[str, object]) -> dict[str, object]:
        known = set(load_categories()) | set(Kind)
        unknown = sorted(set(value) - known)
        if unknown:
            raise ValueError(f"unknown: {', '.join(unknown)} (known: {', '.join(sorted(known))})")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> _PersonaSpec:
        if self.ages[0] > self.ages[1]:
            raise ValueError(f"ages: expected youngest first, got {list(self.ages)}")
        for kind, weight in self.tasks.items():
            if weight > 0 and not sum(self.channels.get(kind, {}).values()) > 0:
                raise ValueError(f"tasks.{kind}: has weight but no channel")
        priced = {*self.merchants, *self.online_merchants, *self.bills}
        missing = sorted(priced - set(self.amounts))
        if missing:
            raise ValueError(f"amounts: missing for {', '.join(missing)}")
        return self


def load_personas(overrides: Mapping[str, object] | None = None) -> dict[str, Persona]:
    """The bank's personas by name, with a scenario's ``personas:`` mapping applied.

    Shares are brought to a sum of 1 after merging.  A persona whose share is 0 is left
    out.  Raises ScenarioError with one line per mistake.
    """
    merged = dict(_built_in())
    problems: list[str] = []
    for name, override in (overrides or {}).items():
        if not isinstance(override, Mapping):
            problems.append(f"personas.{name}: expected a mapping, got {type(override).__name__}")
            continue
        changes = dict(override)
        base_name = str(changes.pop("based_on", name))
        base = merged.get(base_name)
        if base is None:
            hint = f"'{base_name}' is not a persona; `based_on` one of {', '.join(sorted(merged))}"
            problems.append(f"personas.{name}: {hint}")
            continue
        try:
            merged[name] = _layer(base, changes)
        except ValueError as error:
            problems.append(f"personas.{name}.{error}")
    specs = {name: _checked(name, raw, problems) for name, raw in merged.items()}
    total = sum(spec.share for spec in specs.values() if spec is not None)
    if not problems and not total > 0:
        problems.append("personas: expected at least one share above 0")
    if problems:
        raise ScenarioError(problems)
    return {
        name: _persona(name, spec, total)
        for name, spec in specs.items()
        if spec is not None and spec.share > 0
    }


@lru_cache(maxsize=1)
def _built_in() -> Mapping[str, Mapping[str, object]]:
    """The file's personas with the defaults under them, as raw mappings."""
    content = world_file("personas.yaml")
    return {name: _layer(content["defaults"], own) for name, own in content["personas"].items()}


def _layer(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """``over`` on top of ``base``; its ``spending`` multiplies the purchase medians of ``base``."""
    changes = dict(over)
    factor = changes.pop("spending", 1.0)
    if not isinstance(factor, int | float) or not 0 < factor < float("inf"):
        raise ValueError(f"spending: expected a number above 0, got {factor!r}")
    scaled = {key: _times(amount, factor) if _is_purchase(key) else amount for key, amount in _amounts(base)}
    return _merge({**base, "amounts": scaled}, changes)


def _amounts(raw: Mapping[str, object]) -> Iterable[tuple[str, object]]:
    """The amounts of a raw persona; a broken override is reported by the later check."""
    amounts = raw["amounts"]
    return amounts.items() if isinstance(amounts, Mapping) else ()


def _times(amount: object, factor: float) -> object:
    if not isinstance(amount, Mapping) or not isinstance(amount.get("median"), int | float):
        return amount
    return {**amount, "median": amount["median"] * factor}


def _is_purchase(key: str) -> bool:
    category = load_categories().get(key)
    return category is not None and not category.is_bill


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = _merge(below, value)
        else:
            result[key] = value
    return result


def _checked(name: str, raw: Mapping[str, object], problems: list[str]) -> _PersonaSpec | None:
    try:
        return _PersonaSpec.model_validate(raw)
    except ValidationError as error:
        for item in error.errors():
            path = ".".join([f"personas.{name}", *(str(part) for part in item["loc"] if part != "[key]")])
            problems.append(f"{path}: {_message(item['msg'], item['input'])}")
        return None


def _message(text: str, value: object) -> str:
    """pydantic's message in the form of ours: "expected this, got that"."""
    text = text.removeprefix("Value error, ")
    text = text.replace("Extra inputs are not permitted", "not a key of a persona")
    text = text.replace("Input should be", "expected").replace("List should have", "expected")
    shown = repr(value)
    return text if isinstance(value, Mapping) or len(shown) > 60 else f"{text}, got {shown}"


def _persona(name: str, spec: _PersonaSpec, total_share: float) -> Persona:
    return Persona(
        name=name,
        share=spec.share / total_share,
        tempo=spec.tempo,
        tasks={kind: weight for kind, weight in spec.tasks.items() if weight > 0},
        hourly=_mean_one(spec.hourly),
        weekly=_mean_one(spec.weekly),
        channels=spec.channels,
        merchants={key: weight for key, weight in spec.merchants.items() if weight > 0},
        online_merchants={key: weight for key, weight in spec.online_merchants.items() if weight > 0},
        bills={key: weight for key, weight in spec.bills.items() if weight > 0},
        amounts={key: LogNormal(amount.median, amount.sigma) for key, amount in spec.amounts.items()},
        income_units=spec.income,
        balance_factor=spec.balance_factor,
        kyc_tier=spec.kyc_tier,
        ages=spec.ages,
        trips_per_month=spec.trips_per_month,
    )


def _mean_one(values: list[float]) -> tuple[float, ...]:
    mean = sum(values) / len(values)
    return tuple(value / mean for value in values)
