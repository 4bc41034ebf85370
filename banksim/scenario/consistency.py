"""Checks that the blocks of a scenario do not contradict each other.

They read the plain mapping, not the models, so that they run in addition to the field
checks and all mistakes of a file are reported at once.  A value of the wrong type is
skipped here: the field check reports it.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from banksim.scenario.errors import Path, Problem, path_text, shown
from banksim.scenario.fraud import PATTERN_ALIASES, canonical_type
from banksim.scenario.targets import KEYS_OF_KINDS

#: Keys that name another pattern.
LINKS = ("follows", "requires_successful")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One pattern as written, and where."""

    path: Path
    body: Mapping[str, object]

    @property
    def type(self) -> str:
        return canonical_type(_text(self.body.get("type")))

    @property
    def name(self) -> str:
        return _text(self.body.get("name"))


def inconsistencies(data: Mapping[Any, object], pattern_types: Sequence[str]) -> list[Problem]:
    """Every contradiction between keys of ``data``, a scenario as a plain mapping.

    ``pattern_types`` are the kinds of fraud that exist; with ``plugins`` others may too.
    """
    fraud = _mapping(data.get("fraud"))
    entries = list(_pattern_entries(fraud))
    problems = list(_warm_up(data))
    problems += _hot_accounts(data)
    problems += _rates(fraud)
    problems += _phases(fraud, data.get("duration_hours"))
    problems += _faults(_list(data.get("faults")), _number(data.get("duration_hours")))
    if not data.get("plugins"):
        problems += _types(entries, pattern_types)
    problems += _weights(entries, fraud)
    problems += _names(entries)
    problems += _links(entries)
    return problems


def _hot_accounts(data: Mapping[Any, object]) -> Iterator[Problem]:
    wanted = _number(_mapping(data.get("activity")).get("hot_accounts"))
    customers = _number(data.get("customers", 500))
    onboarding = data.get("onboarding")
    existing = _number(_mapping(onboarding).get("existing_share", 0.2)) if onboarding else 1.0
    if wanted and customers is not None and existing is not None and wanted > customers * existing:
        text = f"expected at most the {customers * existing:g} customers there are at first, got {wanted:g}"
        yield Problem(("activity", "hot_accounts"), text)


def _warm_up(data: Mapping[Any, object]) -> Iterator[Problem]:
    warm_up, duration = _number(data.get("warm_up_hours")), _number(data.get("duration_hours"))
    if warm_up is not None and duration is not None and 0 < duration <= warm_up:
        yield Problem(
            ("warm_up_hours",), f"expected less than duration_hours ({duration:g}), got {warm_up:g}"
        )


def _rates(fraud: Mapping[str, object]) -> Iterator[Problem]:
    rate, baseline = _number(fraud.get("rate", 0.001)), _number(fraud.get("baseline_rate"))
    if rate is not None and baseline is not None and baseline > rate:
        yield Problem(("fraud", "baseline_rate"), f"expected at most fraud.rate ({rate:g}), got {baseline:g}")


def _phases(fraud: Mapping[str, object], duration: object) -> Iterator[Problem]:
    run_hours = _number(duration)
    names: set[str] = set()
    for index, phase in enumerate(_list(fraud.get("phases"))):
        path: Path = ("fraud", "phases", index)
        body = _mapping(phase)
        name = _text(body.get("name"))
        if name and name in names:
            yield Problem((*path, "name"), f"{shown(name)} is the name of an earlier phase too")
        names.add(name)
        start, length = _number(body.get("start_hour")), _number(body.get("duration_hours"))
        if run_hours is None or start is None or length is None:
            continue
        # A file may write thirds of an hour; a phase that ends with the run must not fail on rounding.
        if start + length > run_hours + 1e-6:
            yield Problem(
                path,
                f"ends at hour {start + length:g}, after the end of the run (duration_hours {run_hours:g})",
            )


def _faults(faults: Sequence[object], run_hours: float | None) -> Iterator[Problem]:
    """Every fault lies within the run, has the keys its kind reads, and no restart begins inside another."""
    restarts: list[tuple[str, float, float, Path]] = []
    for index, fault in enumerate(faults):
        path, body = ("faults", index), _mapping(fault)
        kind, target = _text(body.get("kind")), _text(body.get("target"))
        for key, kinds in KEYS_OF_KINDS.items():
            if kind and key in body and body[key] is not None and kind not in kinds:
                yield Problem((*path, key), f"has no effect with kind {kind}; it is for {', '.join(kinds)}")
        if kind == "latency" and body.get("latency_ms") is None:
            yield Problem((*path, "latency_ms"), "missing; kind latency needs it")
        start, minutes = _number(body.get("start_hour")), _number(body.get("duration_minutes"))
        if start is None or minutes is None:
            continue
        end = start + minutes / 60
        if run_hours is not None and end > run_hours + 1e-6:
            text = f"ends at hour {end:g}, after the end of the run (duration_hours {run_hours:g})"
            yield Problem(path, text)
        if kind == "restart":
            for other, other_start, other_end, first in restarts:
                if other == target and start < other_end and other_start < end:
                    yield Problem(path, f"overlaps {path_text(first)}, a restart of the same target")
            restarts.append((target, start, end, path))


def _types(entries: Sequence[_Entry], pattern_types: Sequence[str]) -> Iterator[Problem]:
    for entry in entries:
        if entry.type and entry.type not in pattern_types:
            written = _text(entry.body["type"])
            guess = closest(written, [*pattern_types, *PATTERN_ALIASES])
            hint = f"did you mean {guess}?" if guess else f"known: {', '.join(pattern_types)}"
            yield Problem((*entry.path, "type"), f"unknown kind of fraud {shown(written)}; {hint}")


def _weights(entries: Sequence[_Entry], fraud: Mapping[str, object]) -> Iterator[Problem]:
    weights = [_number(entry.body.get("weight", 1.0)) for entry in entries if not entry.body.get("count")]
    if weights and all(weight == 0 for weight in weights) and _number(fraud.get("rate", 0.001)) != 0:
        yield Problem(
            ("fraud", "patterns"), "expected a weight above 0 in at least one pattern without count"
        )


def _names(entries: Sequence[_Entry]) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for entry in entries:
        if not entry.name:
            continue
        if entry.name in first:
            text = f"{shown(entry.name)} is the name of {path_text(first[entry.name])} too"
            yield Problem((*entry.path, "name"), text)
        first.setdefault(entry.name, entry.path)


def _links(entries: Sequence[_Entry]) -> Iterator[Problem]:
    """Links must lead to another pattern, and never in a circle."""
    by_name, by_type = defaultdict[str, list[_Entry]](list), defaultdict[str, list[_Entry]](list)
    for entry in entries:
        for index, word in ((by_name, entry.name), (by_type, entry.type)):
            if len(index[word]) < 2:  # itself, and another one
                index[word].append(entry)
    targets: dict[Path, list[tuple[str, _Entry]]] = {}
    for entry in entries:
        for key in LINKS:
            label = _text(entry.body.get(key))
            if not label:
                continue
            # As `FraudSettings.find_pattern`: a name before a type, an earlier pattern before a later one.
            meant = [*by_name.get(label, ()), *by_type.get(canonical_type(label), ())]
            target = next((other for other in meant if other is not entry), None)
            if target is None:
                yield Problem((*entry.path, key), _no_such_pattern(label, entry, entries))
            else:
                targets.setdefault(entry.path, []).append((key, target))
    yield from _circles(targets)


def _no_such_pattern(label: str, asking: _Entry, entries: Sequence[_Entry]) -> str:
    if label == asking.name or canonical_type(label) == asking.type:
        return f"{shown(label)} is this pattern itself"
    labels = sorted(
        {word for entry in entries if entry is not asking for word in (entry.name, entry.type) if word}
    )
    guess = closest(label, labels)
    hint = f"did you mean {guess}?" if guess else f"here: {', '.join(labels) or 'no other pattern'}"
    return f"no pattern of this scenario has the name or type {shown(label)}; {hint}"


#: Patterns of a circle that its problem names.
MAX_NAMED = 12


def _circles(targets: Mapping[Path, list[tuple[str, _Entry]]]) -> Iterator[Problem]:
    """One problem per circle, at the link of its first pattern in file order.

    A walk along the links that visits every pattern once.
    """
    done: set[Path] = set()
    for start in targets:
        way: list[Path] = []
        place: dict[Path, int] = {}
        links = [iter([("", start)])]
        while links:
            _, here = next(links[-1], ("", None))
            if here is None:
                links.pop()
                if way:
                    done.add(way[-1])
                    del place[way.pop()]
            elif here in place:
                yield _circle(way[place[here] :], targets)
            elif here not in done:
                place[here] = len(way)
                way.append(here)
                links.append(iter([(key, entry.path) for key, entry in targets.get(here, ())]))


def _circle(ring: list[Path], targets: Mapping[Path, list[tuple[str, _Entry]]]) -> Problem:
    first = ring.index(min(ring, key=list(targets).index))
    ring = [*ring[first:], *ring[:first]]
    after = ring[1] if len(ring) > 1 else ring[0]
    key = next(key for key, entry in targets[ring[0]] if entry.path == after)
    named = [path_text(path[1:]) for path in (*ring, ring[0])]
    if len(named) > MAX_NAMED:
        named[MAX_NAMED // 2 : -MAX_NAMED // 2] = ["…"]
    return Problem((*ring[0], key), f"waits for itself in a circle: {' → '.join(named)}")


def closest(word: str, known: Sequence[str]) -> str | None:
    """The known word that ``word`` probably stands for."""
    matches = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _pattern_entries(fraud: Mapping[str, object]) -> Iterator[_Entry]:
    for index, body in enumerate(_list(fraud.get("patterns"))):
        yield _Entry(("fraud", "patterns", index), _mapping(body))
    for number, phase in enumerate(_list(fraud.get("phases"))):
        for index, body in enumerate(_list(_mapping(phase).get("patterns"))):
            yield _Entry(("fraud", "phases", number, "patterns", index), _mapping(body))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
