"""Mistakes: all at once, each one line with its place, in plain words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.model import ExitCode, ScenarioError
from banksim.scenario import Scenario, load_scenario, parse_scenario
from banksim.scenario.errors import MAX_BYTES, block_at
from banksim.scenario.fields import Block
from tests.unit.scenario import examples

SIX_MISTAKES = """\
name: "Six"
duration_hours: 24
customers: lots
transaction_rate:
  peak_tps: 10
  peek_tps: 12
  off_peak_tps: 2
fraud:
  rate: 0.01
  patterns:
    - type: card_testin
    - type: large_amount
      weight: 3
dashboard:
  port: 8000
  port: 8095
warm_up_hours: 30
"""


def problems_of(text: str, **arguments: Any) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "x.yaml", **arguments)
    return list(caught.value.problems)


def problem_of(extra: str, **arguments: Any) -> str:
    (problem,) = problems_of(examples.MINIMAL + extra, **arguments)
    return problem


def test_six_mistakes_are_six_lines_with_their_places() -> None:
    assert problems_of(SIX_MISTAKES) == [
        "customers: expected a whole number from 1 to 10000000, got 'lots' (x.yaml line 3)",
        "transaction_rate.peek_tps: unknown key; did you mean peak_tps? (x.yaml line 6)",
        "fraud.patterns[0].type: unknown kind of fraud 'card_testin'; did you mean card_testing? "
        "(x.yaml line 11)",
        "fraud.patterns[1].weight: expected a number from 0 to 1, got 3 (x.yaml line 13)",
        "dashboard.port: given twice, first on line 15 (x.yaml line 16)",
        "warm_up_hours: expected less than duration_hours (24), got 30 (x.yaml line 17)",
    ]


def test_errors_are_wrong_usage() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario("name: x\n")
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("customers: true\n", "customers: expected a whole number from 1 to 10000000, got true"),
        ("customers: 2.5\n", "customers: expected a whole number"),
        ("customers:\n", "customers: expected a whole number from 1 to 10000000, got nothing"),
        ("initial_balance: -1\n", "initial_balance: expected a number from 0"),
        ("speed_multiplier: .inf\n", "speed_multiplier: expected a number from 0.1 to 10000"),
        ("speed_multiplier: .nan\n", "speed_multiplier: expected a number from 0.1 to 10000"),
        ("currency: DOGE\n", "currency: expected USD, EUR, GBP, JPY, CAD or CHF, got 'DOGE'"),
        ("description: 3\n", "description: expected text, got 3"),
        ("start_at: soon\n", "start_at: expected a date and time without time zone"),
        ("start_at: 2026-01-05T00:00:00+02:00\n", "start_at: expected a date and time without time zone"),
        ("fraud: 5\n", "fraud: expected a block of keys, got 5"),
        ("fraud: {patterns: 5}\n", "fraud.patterns: expected a list, got 5"),
        ("fraud: {patterns: [5]}\n", "fraud.patterns[0]: expected a block of keys, got 5"),
        ("fraud: {patterns: [{}]}\n", "fraud.patterns[0].type: missing, and there is no default"),
        ("fraud: {rate: 1}\n", "fraud.rate: expected a number at least 0 and below 1, got 1"),
        ("fraud: {attack_window: [3, 3]}\n", "fraud.attack_window: expected two different whole hours"),
        ("fraud: {attack_window: [2, 25]}\n", "fraud.attack_window: expected two different whole hours"),
        ("fraud: {attack_window: [2]}\n", "fraud.attack_window: expected two different whole hours"),
        (
            "fraud: {rate: 0.1, baseline_rate: 0.2}\n",
            "fraud.baseline_rate: expected at most fraud.rate (0.1)",
        ),
        ("dashboard: {enabled: perhaps}\n", "dashboard.enabled: expected true or false, got 'perhaps'"),
        ("dashboard: {theme: blue}\n", "dashboard.theme: expected light, dark or auto, got 'blue'"),
        (
            "connections: {nexum_url: localhost:80}\n",
            "connections.nexum_url: expected an address starting with",
        ),
        ("connections: {nexum_url: 'http://'}\n", "connections.nexum_url: expected an address"),
        (
            "connections: {nexum_url: 'http://me:secret@bank'}\n",
            "connections.nexum_url: expected an address starting with http:// or https:// without a "
            "user name (see basic:), or '' for none, got 'http://***@bank'",
        ),
        (
            "connections: {kafka_bootstrap_servers: a}\n",
            "connections.kafka_bootstrap_servers: expected host:port",
        ),
        (
            "connections: {kafka_format: xml}\n",
            "connections.kafka_format: expected flat or envelope, got 'xml'",
        ),
        (
            "onboarding: {initial_deposit_range: [5, 1]}\n",
            "onboarding.initial_deposit_range: expected two amounts",
        ),
        ("warm_up_hours: 24\n", "warm_up_hours: expected less than duration_hours (24), got 24"),
        ("locale: english\n", "locale: expected a locale such as en_US"),
        ("thresholds: p99 < 3\n", "thresholds: expected a list, got 'p99 < 3'"),
        ("rate: 0.1\n", "rate: unknown key; did you mean fraud.rate?"),
        (
            "weekend_multiplier: 0.1\n",
            "weekend_multiplier: unknown key; did you mean transaction_rate.weekend",
        ),
        ("zzz: 0.1\n", "zzz: unknown key (x.yaml line 6)"),
        ("7: 0.1\n", "7: unknown key (x.yaml line 6)"),
    ],
)
def test_words(extra: str, expected: str) -> None:
    problem = problem_of(extra)
    assert problem.startswith(expected)
    assert problem.endswith("(x.yaml line 6)")
    assert "pydantic" not in problem and "http://errors" not in problem


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        (
            "hourly_multipliers: {24: 1}",
            "transaction_rate.hourly_multipliers.24: expected a whole number from 0",
        ),
        ("hourly_multipliers: {3: -1}", "transaction_rate.hourly_multipliers.3: expected a number from 0"),
        (
            "weekday_multipliers: {mon: 1}",
            "transaction_rate.weekday_multipliers.mon: expected monday, tuesday",
        ),
        (
            "seasonal_multipliers: {0: 1}",
            "transaction_rate.seasonal_multipliers.0: expected a whole number from 1",
        ),
        ("business_hours: [8]", "transaction_rate.business_hours: expected two different whole hours"),
        ("business_hours: [0, 0]", "transaction_rate.business_hours: expected two different whole hours"),
        ("business_hours: 8-18", "transaction_rate.business_hours: expected two different whole hours"),
    ],
)
def test_words_about_rates(rates: str, expected: str) -> None:
    assert problem_of(f"  {rates}\n").startswith(expected)


@pytest.mark.parametrize("window", [(22, 4), (0, 24), (0, 23), (18, 24), (23, 0)])
def test_windows_may_wrap(window: tuple[int, int]) -> None:
    text = f"{examples.MINIMAL}  business_hours: [{window[0]}, {window[1]}]\n"
    assert parse_scenario(text).transaction_rate.business_hours == window


def test_a_start_of_24_is_midnight() -> None:
    text = f"{examples.MINIMAL}  business_hours: [24, 6]\n"
    assert parse_scenario(text).transaction_rate.business_hours == (0, 6)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (
            ["{type: card_testing, follows: card_testing}"],
            "fraud.patterns[0].follows: 'card_testing' is this pattern itself",
        ),
        (
            ["{type: card_testing, name: a, follows: b}", "{type: large_amount, name: b, follows: a}"],
            "fraud.patterns[0].follows: waits for itself in a circle",
        ),
        (
            ["{type: card_testing, requires_successful: large_amont}", "{type: large_amount}"],
            "fraud.patterns[0].requires_successful: no pattern of this scenario has the name or type "
            "'large_amont'; did you mean large_amount?",
        ),
        (
            ["{type: card_testing, name: a}", "{type: large_amount, name: a}"],
            "fraud.patterns[1].name: 'a' is the name of fraud.patterns[0] too",
        ),
        (
            ["{type: card_testing, weight: 0}", "{type: large_amount, weight: 0}"],
            "fraud.patterns: expected a weight above 0",
        ),
        (
            ["{type: teleportation}"],
            "fraud.patterns[0].type: unknown kind of fraud 'teleportation'; known: card_",
        ),
        (
            ["{type: structuring, split_amounts: maybe so}"],
            "fraud.patterns[0].split_amounts: expected true, false",
        ),
        (
            ["{type: mule_network, hops: many}"],
            "fraud.patterns[0].hops: expected a whole number from 1 to 100",
        ),
        (
            ["{type: card_testing, amounts: [0]}"],
            "fraud.patterns[0].amounts: expected a list of amounts above 0",
        ),
    ],
)
def test_words_about_patterns(patterns: list[str], expected: str) -> None:
    listed = "".join(f"    - {pattern}\n" for pattern in patterns)
    assert problem_of(f"fraud:\n  patterns:\n{listed}").startswith(expected)


def test_a_circle_is_reported_once() -> None:
    text = """\
fraud:
  patterns:
    - {type: card_testing, name: a, follows: c}
    - {type: large_amount, name: b, follows: a, requires_successful: a}
    - {type: online_fraud, name: c, requires_successful: b}
    - {type: structuring, name: d, follows: a}
"""
    assert "patterns[0] → patterns[2] → patterns[1] → patterns[0]" in problem_of(text).replace("fraud.", "")


def test_phases_must_lie_inside_the_run() -> None:
    phase = "fraud: {phases: [{name: late, start_hour: 23, duration_hours: 2}]}\n"
    assert problem_of(phase).startswith("fraud.phases[0]: ends at hour 25, after the end of the run")
    parse_scenario(examples.MINIMAL + phase.replace("23", "22"))
    twice = "fraud: {phases: [" + ", ".join(["{name: p, start_hour: 1, duration_hours: 1}"] * 2) + "]}\n"
    assert problem_of(twice).startswith("fraud.phases[1].name: 'p' is the name of an earlier phase too")


def test_plugins_and_later_rooms_may_add_kinds_of_fraud() -> None:
    pattern = "fraud: {patterns: [{type: teleportation}]}\n"
    parse_scenario(examples.MINIMAL + "plugins: [mine.py]\n" + pattern)
    parse_scenario(examples.MINIMAL + pattern, pattern_types=("teleportation",))
    with pytest.raises(ScenarioError):
        parse_scenario(examples.MINIMAL + pattern)


def test_empty_blocks_are_defaults() -> None:
    blocks = "fraud:\ndashboard:\nmetrics:\nconnections:\nplugins:\nthresholds:\npersonas:\n"
    scenario = parse_scenario(examples.MINIMAL + blocks)
    assert scenario == parse_scenario(examples.MINIMAL)
    assert scenario.onboarding is None
    assert parse_scenario(examples.MINIMAL + "onboarding:\n").onboarding is not None
    assert parse_scenario(examples.MINIMAL + "fraud:\n  patterns:\n").fraud.patterns == ()


def test_what_every_scenario_needs() -> None:
    assert [problem.split(":")[0] for problem in problems_of("description: x\n")] == [
        "name",
        "duration_hours",
        "transaction_rate",
    ]
    assert problems_of("name: x\nduration_hours: 1\ntransaction_rate:\n") == [
        "transaction_rate.peak_tps: missing, and there is no default (x.yaml line 3)",
        "transaction_rate.off_peak_tps: missing, and there is no default (x.yaml line 3)",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty (x.yaml)"),
        ("# only a comment\n", "the file is empty (x.yaml)"),
        ("- a\n- b\n", "expected a mapping of keys to values"),
        ("just words", "expected a mapping of keys to values"),
        ("name: [\n", "not valid YAML: "),
        ("name: a: b\n", "not valid YAML: mapping values are not allowed here (x.yaml line 1)"),
        ("name: x\n\tbad: y\n", "not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "expected one YAML document, found a second one (x.yaml line 2)"),
        ("name: x\nstart_at: 2026-02-31\n", "a value cannot be read: "),
        ("name: \x00\n", "not valid YAML: "),
        ("a: &a [*a]\n", "nested too deeply, or an alias that contains itself (x.yaml)"),
        ("[" * 2_000, "nested too deeply"),
        ("? [a]\n: b\n", "not valid YAML: "),
        ("a: " + "x" * MAX_BYTES, "the file is larger than 1,000,000 bytes (x.yaml)"),
        ("a: !!python/object/apply:os.system [true]\n", "only plain YAML is read: "),
        ("a: !!python/name:os.system\n", "only plain YAML is read: "),
        ("a: !mine 3\n", "only plain YAML is read: "),
    ],
)
def test_what_is_not_a_scenario_at_all_is_one_line(text: str, expected: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(expected)
    assert "\n" not in problem


def test_aliases_are_bounded_once_written_out() -> None:
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 10):
        laughs += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    (problem,) = problems_of(laughs)
    assert problem.startswith("more than 50,000 values once aliases are written out")


def test_a_few_aliases_and_merges_are_fine() -> None:
    text = examples.MINIMAL + (
        "fraud:\n  patterns:\n    - &base {type: card_testing, intensity: 2}\n"
        "    - {<<: *base, name: again}\n"
    )
    assert [pattern.intensity for pattern in parse_scenario(text).fraud.patterns] == [2, 2]


def test_very_many_mistakes_are_cut(tmp_path: Path) -> None:
    problems = problems_of(examples.MINIMAL + "".join(f"k{n}: 1\n" for n in range(500)))
    assert len(problems) == 101
    assert problems[-1] == "and 400 more (x.yaml)"


def test_a_text_byte_order_mark_and_umlauts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "umlaut.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + examples.MINIMAL.replace("Fragment", "Prüfung").encode())
    scenario = load_scenario(path, environ={})
    assert scenario.name == "Prüfung"
    assert scenario.source_path == path


COMPLETE: dict[str, Any] = yaml.safe_load(examples.BASIC_WITH_OTHER_PATTERN) | {
    "onboarding": {"kyc_approval_rate": 0.5},
}
COMPLETE["fraud"]["phases"] = [
    {"name": "p", "start_hour": 1, "duration_hours": 1, "patterns": [{"type": "structuring"}]}
]
PRINTABLE = st.characters(exclude_categories=("Cc", "Cf", "Cs"))
BLOCK_PATHS: list[tuple[str | int, ...]] = [
    (),
    ("transaction_rate",),
    ("fraud",),
    ("fraud", "patterns", 0),
    ("fraud", "patterns", 1),
    ("fraud", "phases", 0),
    ("fraud", "phases", 0, "patterns", 0),
    ("connections",),
    ("dashboard",),
    ("metrics",),
    ("onboarding",),
]


def keys_of(path: tuple[str | int, ...]) -> set[str]:
    block: type[Block] | None = block_at(Scenario, path)
    assert block is not None
    return set(block.model_fields)


@settings(max_examples=80, deadline=None)
@given(
    path=st.sampled_from(BLOCK_PATHS),
    key=st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=25),
    value=st.one_of(
        st.none(), st.integers(), st.text(PRINTABLE, max_size=5), st.lists(st.integers(), max_size=3)
    ),
)
def test_any_unknown_key_is_exactly_one_line_naming_it(
    path: tuple[str | int, ...], key: str, value: object
) -> None:
    if key in keys_of(path):
        return
    data = yaml.safe_load(yaml.safe_dump(COMPLETE))
    place = data
    for step in path:
        place = place[step]
    place[key] = value
    (problem,) = problems_of(yaml.safe_dump(data))
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in (*path, key)).lstrip(".")
    assert problem.startswith(f"{where}: unknown key")


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=80))
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(ScenarioError):
        parse_scenario(text)
