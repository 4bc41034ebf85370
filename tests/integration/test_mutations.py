"""Mutated scenarios, mappings, thresholds, results, feeds: refused in words, without a traceback, and soon.

Everything is mutated from what is valid, in this process and from a fixed seed; how many depends on
MUTATIONS (5,000 of all kinds together by default) and ends at MOST_S of CPU time for each kind.
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from banksim.measure.results import encode
from banksim.measure.thresholds.judge import parse_thresholds
from banksim.model import BanksimError
from banksim.report.compare import compare_runs
from banksim.report.write import feed_csv, read_feed, read_results
from banksim.scenario import parse_scenario
from banksim.targets.mapping import read_mapping
from tests.unit.report.make import busy_results
from tests.unit.run.makers import feed_item
from tests.unit.scenario.examples import MINIMAL

ROOT = Path(__file__).resolve().parents[2]
MUTATIONS = int(os.environ.get("MUTATIONS", "5000"))
MOST_S = 12.0
#: One text may take this long, and all together may add this much memory.
ONE_S = 5.0
MORE_BYTES = 300e6

ODD = [
    *("null", "true", "-1", "0", "1e999", ".nan", ".inf", "0100", "1:30", "0x1f", "''", "[]", "{}"),
    *("!!int ''", "!!bool maybe", "!!timestamp abc", "!!set {a, b}", "!!python/object:os.system x"),
    *("9999-12-31 23:59:00", "0001-01-01", "2026-02-31", "2026-01-05T08:00:00+14:00", "[[[[]]]]"),
    *("\x1b[2J", "\u202e", "é" * 300, "9" * 400, "x" * 5_000, "<<: {a: 1}", "- - - -", "{{}}", "&a [*a]"),
    *("%", "\t", "'", '"', "|", "---", "...", "purchase", "card_testing", "1000000000000", "0.0000001"),
    *("5%", "12 h", "http://a" + "a" * 3_000, "localhost:-1"),
]


def mutated(text: str, draw: random.Random) -> str:
    """One to three changes of lines, values or characters."""
    for _ in range(draw.randint(1, 3)):
        lines = text.split("\n")
        at = draw.randrange(len(lines))
        match draw.randrange(7):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[draw.randrange(len(lines))])
            case 2:
                key, colon, _ = lines[at].partition(":")
                lines[at] = f"{key}{colon} {draw.choice(ODD)}"
            case 3:
                lines[at] = lines[at] + draw.choice(ODD)
            case 4:
                lines[at] = " " * draw.randrange(6) + lines[at]
            case 5:
                lines[at] = lines[at].replace(":", draw.choice(["", "::", ": - ", " "]), 1)
            case _:
                cut = draw.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:cut] + draw.choice(ODD)[:20] + lines[at][cut + draw.randrange(3) :]
        text = "\n".join(lines)
    return text


def attempts(share: float) -> Iterator[random.Random]:
    """A stream for each mutation, until there are enough or time is over."""
    until_s = time.process_time() + MOST_S
    before_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    done = 0
    for number in range(round(MUTATIONS * share)):
        begun_s = time.process_time()
        yield random.Random(number)
        assert time.process_time() - begun_s < ONE_S, f"mutation {number} took too long"
        done += 1
        if time.process_time() > until_s:
            break
    assert done >= MUTATIONS * share / 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before_bytes < MORE_BYTES


def refused_in_words(work: Callable[[], object], what: str) -> None:
    try:
        work()
    except BanksimError as error:
        said = str(error)
        assert said and len(said) < 100_000
        assert all(letter.isprintable() or letter in "\n\u202f" for letter in said), repr(said[:300])
    except ValueError as error:
        assert "threshold" in what and str(error)


SCENARIOS = [path.read_text("utf-8") for path in sorted((ROOT / "scenarios").glob("*.yaml"))]


def test_scenarios() -> None:
    for draw in attempts(0.3):
        text = mutated(draw.choice(SCENARIOS), draw)
        refused_in_words(lambda text=text: parse_scenario(text, "m.yaml", {}), "scenario")


@pytest.mark.parametrize(
    "text",
    [
        "seed: 0x" + "f" * 900_000,
        "seed: 0b" + "1" * 900_000,
        "seed: 0" + "7" * 900_000,
        "seed: " + ":".join("1" * 300_000),
        "k" * 900_000 + ": 1",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "fraud: {patterns: ["
        + ", ".join(f"{{type: card_testing, name: p{n}, follows: p{(n + 1) % 3000}}}" for n in range(3000))
        + "]}",
        *(
            f"name: x\nstart_at: {value}"
            for value in ("9999-12-31 23:59:00", "0001-01-01", "!!timestamp abc")
        ),
        *(f"name: {value}\n" for value in ("!!int ''", "!!bool maybe", '"\\e[2J"', '"\\a"', '"\\u202E"')),
        *(f"customers: {value}\n" for value in ("0100", "1:30", "0b11", "-0x10", "1:00:00")),
    ],
    ids=lambda text: text[:24],
)
def test_texts_that_were_too_much_once(text: str) -> None:
    begun_s = time.process_time()
    with pytest.raises(BanksimError) as caught:
        parse_scenario(text, "m.yaml", {})
    assert time.process_time() - begun_s < ONE_S
    said = str(caught.value)
    assert len(said) < 60_000
    assert "\x1b" not in said and "\x07" not in said and "\u202e" not in said


@pytest.mark.parametrize("value", ["0100", "1:30", "1:00"])
def test_numbers_that_yaml_reads_otherwise_are_named_with_their_line(value: str) -> None:
    with pytest.raises(BanksimError, match=f"{value} would be read .*line 3"):
        parse_scenario(f"name: x\nduration_hours: 1\ncustomers: {value}\n", "m.yaml", {})


@pytest.mark.parametrize("moment", ["9999-12-31 23:30:00", "9998-06-01", "0001-01-01"])
def test_the_ends_of_the_calendar_are_refused_by_name(moment: str) -> None:
    with pytest.raises(BanksimError, match=r"^start_at: expected a date .*line \d+"):
        parse_scenario(MINIMAL + f"start_at: {moment}\n", "m.yaml", {})


@pytest.mark.parametrize("moment", ["1600-02-29", "1969-12-31 23:59:00", "2038-01-19 03:14:08", "2262-04-12"])
def test_odd_moments_within_it_are_dates_like_others(moment: str) -> None:
    assert parse_scenario(MINIMAL + f"start_at: {moment}\n", "m.yaml", {}).start_at.year > 1500


MAPPINGS = [path.read_text("utf-8") for path in sorted((ROOT / "scenarios" / "targets").glob("*.yaml"))]


def test_mappings(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    for draw in attempts(0.2):
        path.write_bytes(mutated(draw.choice(MAPPINGS), draw).encode("utf-8", "surrogatepass"))
        refused_in_words(lambda: read_mapping(path), "mapping")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"\xff\xfe",
        b"- a",
        b"kind: bank",
        b"kind: [bank]",
        b"kind: detector\nscore: 1",
        b"{" * 5_000,
    ],
    ids=lambda content: repr(content[:20]),
)
def test_mappings_that_are_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(BanksimError) as caught:
        read_mapping(path)
    assert str(path) in str(caught.value)


EXPRESSIONS = [
    *("recall >= 90%", "errors < 5% for 30s abort", "latency[nexum].p99 < 400ms", "tps > 10"),
    *("recall[app_scam] >= 0.5", "response_time.p99 < 2s"),
]


def test_thresholds() -> None:
    for draw in attempts(0.2):
        text = mutated(draw.choice(EXPRESSIONS), draw)
        refused_in_words(lambda text=text: parse_thresholds([text]), "threshold")


def broken(content: object, draw: random.Random) -> object:
    """One value anywhere in it replaced or taken away."""
    place, way = content, []
    while isinstance(place, dict | list) and place:
        key = draw.choice(list(place) if isinstance(place, dict) else range(len(place)))
        way.append((place, key))
        place = place[key]
        if draw.random() < 0.25:
            break
    if not way:
        return draw.choice([None, 1, "x", []])
    owner, key = way[-1]
    if draw.random() < 0.4:
        del owner[key]
    else:
        owner[key] = draw.choice([None, -1, 1e308, "x", [], {}, [[]], True, "\x1b[2J", float("nan")])
    return content


def test_results(tmp_path: Path) -> None:
    whole = json.dumps(encode(busy_results()))
    path = tmp_path / "results.json"
    path.write_text(whole)
    good = read_results(path)
    for draw in attempts(0.2):
        text = json.dumps(broken(json.loads(whole), draw))
        if draw.random() < 0.1:
            text = text[: draw.randrange(len(text))]
        path.write_text(text)

        def use() -> None:
            compare_runs(good, read_results(path))

        refused_in_words(use, "results")


def test_kept_transactions(tmp_path: Path) -> None:
    whole = feed_csv([feed_item(number, f"t{number}") for number in range(5)])
    path = tmp_path / "feed.csv"
    path.write_text(whole)
    assert len(read_feed(tmp_path)) == 5
    for draw in attempts(0.1):
        path.write_bytes(
            mutated(whole.replace(",", ":,"), draw).replace(":,", ",").encode("utf-8", "replace")
        )
        refused_in_words(lambda: read_feed(tmp_path), "feed")


@pytest.mark.parametrize(
    "line", ["", ",", "a" * 200_000, "1,2", '"', "\0", "," * 500, "\ud83d"], ids=lambda line: repr(line[:9])
)
def test_lines_that_are_no_transactions(line: str, tmp_path: Path) -> None:
    head = feed_csv([feed_item(1, "t1")])
    (tmp_path / "feed.csv").write_text(head + line + "\n", errors="replace")
    refused_in_words(lambda: read_feed(tmp_path), "feed")
