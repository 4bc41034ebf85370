"""Mapping files: mistakes are told with file, line, field and what was expected; bodies keep their types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from banksim.model import BankStatus, Decision, Decline, Place, ScenarioError, UsageError
from banksim.model.transaction import Kind
from banksim.targets import AccountDirectory, Reply
from banksim.targets.connect import load_adapter, role_of, shipped_mappings
from banksim.targets.fields import FIELDS, Body, History, Known, Scope, Text, UnknownField, km_between
from banksim.targets.mapping import MappedBank, MappedDetector, read_mapping
from banksim.targets.mapping_format import mapping_schema, walk
from tests.unit.targets.people import BOSTON, SHOP, transaction

BANK = """\
kind: bank
name: B
move:
  any: {post: /m, body: {id: "{reference}"}}
answers:
  - {status: 2xx, at: state, equals: [ok, 1], means: posted}
  - {status: 409, means: refused, reason: funds}
  - {status: 202, means: accepted}
completion:
  {by: poll, id_at: id, get: "/m/{completion_id}", answers: [{at: done, equals: true, means: posted}]}
balance: {get: "/a/{account_id}", at: money.now, gone: 404}
"""


def mapping(folder: Path, text: str) -> Path:
    path = folder / "m.yaml"
    path.write_text(text)
    return path


def bank(folder: Path, text: str = BANK) -> MappedBank:
    made = read_mapping(mapping(folder, text))
    assert isinstance(made, MappedBank)
    return made


@pytest.mark.parametrize(
    ("right", "wrong", "line", "said"),
    [
        ("kind: bank", "kind: bankk", 1, "kind: expected bank or detector, got 'bankk'"),
        ("{reference}", "{referenze}", 4, "there is no field {referenze} here; did you mean {reference}?"),
        ("{reference}", "{reference:upr}", 4, "expected one of int, number, text, upper after the colon"),
        ("status: 2xx", "status: 2xy", 6, "answers[0].status: expected an HTTP status such as 201 or 2xx"),
        ("means: posted", "means: booked", 6, "means: expected posted, refused, failed"),
        ("{post: /m,", "{get: m, post: /m,", 4, "expected exactly one of get, post, put, patch, delete"),
        ("{post: /m,", "{post: m,", 4, "expected a path that begins with /, got 'm'"),
        ("id_at: id, ", "", 9, "expected one of id and id_at"),
        ("  any: {", "  anny: {", 4, "move.anny: unknown key; did you mean any?"),
    ],
)
def test_a_mistake_names_its_place(tmp_path: Path, right: str, wrong: str, line: int, said: str) -> None:
    text = BANK.replace(right, wrong, 1)
    assert text != BANK
    with pytest.raises(ScenarioError) as refused:
        read_mapping(mapping(tmp_path, text))
    found = [problem for problem in refused.value.problems if said in problem]
    assert found, refused.value
    assert f"m.yaml line {line})" in found[0]


def test_accepted_needs_a_way_to_end(tmp_path: Path) -> None:
    text = "\n".join(line for line in BANK.splitlines() if "completion" not in line)
    with pytest.raises(ScenarioError, match="means: accepted needs a completion block"):
        read_mapping(mapping(tmp_path, text))


def test_yaml_objects_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="only plain YAML"):
        read_mapping(mapping(tmp_path, "kind: !!python/object/apply:os.getcwd []"))
    with pytest.raises(UsageError, match=r"there is no mapping 'blnkk'; did you mean blnk\?"):
        load_adapter("bank", "blnkk")
    with pytest.raises(UsageError, match="rinha describes no bank"):
        load_adapter("bank", "rinha")


def test_answers_by_table(tmp_path: Path) -> None:
    made = bank(tmp_path)

    def judged(status: int, data: object, **more: object) -> tuple[BankStatus, str]:
        verdict = made.judge(Reply(status, data, 1.0, **more), "r")  # type: ignore[arg-type]
        return verdict.status, verdict.awaits

    assert judged(200, {"state": "OK"}) == (BankStatus.POSTED, "")
    assert judged(200, {"state": 1}) == (BankStatus.POSTED, "")
    assert judged(200, {"state": "else"}) == (BankStatus.UNKNOWN, "")
    assert judged(409, None) == (BankStatus.REFUSED, "")
    assert judged(202, {"id": 17}) == (BankStatus.UNKNOWN, "17")
    assert judged(202, {}) == (BankStatus.UNKNOWN, "")
    assert judged(500, None) == (BankStatus.FAILED, "")
    assert judged(502, None) == (BankStatus.UNKNOWN, "")
    assert judged(0, None, error="reset", sent=True) == (BankStatus.UNKNOWN, "")
    assert judged(0, None, error="refused", sent=False) == (BankStatus.FAILED, "")
    assert made.judge_late(Reply(200, {"done": False}, 1.0)) is None
    assert made.judge_late(Reply(200, {"done": True}, 1.0)) == (BankStatus.POSTED, "", "")


def test_a_bank_whose_mapping_names_the_card_check_is_told(tmp_path: Path) -> None:
    assert not bank(tmp_path).checks_cards
    told = bank(tmp_path, BANK.replace("body: {", 'body: {card: "{card_check}", '))
    assert told.checks_cards
    found = [FIELDS["move"]["card_check"](Scope(tx=transaction(card_check=check))) for check in Decline]
    assert found == ["ok", "funds", "limit", "wrong_pin", "expired_card"]


def test_balances(tmp_path: Path) -> None:
    made = bank(tmp_path)
    request = made.balance("a:1@x/y")
    assert request is not None and (request.path, request.name) == ("/a/a:1@x%2Fy", "/a/{account_id}")
    assert made.read_balance(Reply(200, {"money": {"now": "12.50"}}, 1.0), "USD").cents == 1250
    assert made.read_balance(Reply(404, None, 1.0), "USD").gone
    for data in ({}, {"money": {"now": True}}, {"money": {"now": "x"}}):
        assert "no balance at 'money.now'" in made.read_balance(Reply(200, data, 1.0), "USD").error


def test_a_gap_that_is_a_whole_value_keeps_its_type() -> None:
    body = Body(
        {
            "n": "{amount_cents}",
            "t": "{amount_cents:text}",
            "m": 'a-{amount_cents}-ü"',
            "no": "{counterparty_id}",
        },
        FIELDS["move"],
    )
    made = json.loads(body.of(Scope(tx=transaction(amount_cents=1250))))
    assert made == {"n": 1250, "t": "1250", "m": 'a-1250-ü"', "no": ""}
    ready = [part for part in body.parts if isinstance(part, bytes)]
    assert ready[0] == b'{"n":', "constants are ready text, for whoever joins rows"


def test_a_header_cannot_be_broken_by_what_fills_it() -> None:
    text = Text("x {description}", FIELDS["move"])
    assert text.of(Scope(tx=transaction(description="a\r\nEvil: 1"))) == "x a Evil: 1"
    with pytest.raises(UnknownField):
        Text("{label}", FIELDS["score"])


@pytest.mark.parametrize("where", FIELDS)
def test_no_field_tells_the_truth(where: str) -> None:
    assert not {"label", "typology", "campaign_id", "role", "is_fraud", "persona", "truth"} & set(
        FIELDS[where]
    )


def test_history_is_what_happened_before() -> None:
    history = History(lambda _: BOSTON)
    far = Place("Far", "US", 40.0, -71.06)
    first = transaction(transaction_id="1", amount_cents=1_000, merchant=SHOP)
    second = transaction(
        transaction_id="2", amount_cents=3_000, timestamp_s=first.timestamp_s + 7200, place=far
    )

    def seen(tx: object, *names: str) -> list[object]:
        scope = Scope(tx=tx, history=history)  # type: ignore[arg-type]
        return [FIELDS["score"][name](scope) for name in names]

    assert seen(first, "avg_amount", "tx_count_24h", "known_merchants", "km_from_last") == [0.0, 0, [], None]
    history.add(first)
    assert seen(second, "avg_amount", "tx_count_1h", "tx_count_24h", "known_merchants") == [
        10.0,
        0,
        1,
        ["m-1"],
    ]
    assert seen(second, "km_from_home", "seconds_since_last") == [km_between(BOSTON, far), 7200]
    history.add(second)
    assert seen(second, "avg_amount", "tx_count") == [20.0, 2]
    assert km_between(BOSTON, far) == pytest.approx(262.4, abs=0.5)
    known = Known(BOSTON)
    assert known.moments_s.maxlen is not None, "bounded"


def test_scores(tmp_path: Path) -> None:
    answer = "{score: r.s, score_max: 100, block_from: 0.8, reasons: r.why}"
    text = f"kind: detector\nname: D\nscore: {{post: /s}}\nanswer: {answer}\n"
    made = read_mapping(mapping(tmp_path, text))
    assert isinstance(made, MappedDetector)
    (request,) = made.score(transaction(Kind.PURCHASE), AccountDirectory())
    assert request.repeatable
    good = made.read(Reply(200, {"r": {"s": 85, "why": ["a"]}}, 1.0))
    assert (good.score, good.decision, good.reasons) == (0.85, Decision.BLOCK, ("a",))
    for data, said in (({"r": {"s": 101}}, "outside 0..100"), ({}, "no number at 'r.s'"), ([], "no number")):
        bad = made.read(Reply(200, data, 1.0))
        assert bad.score is None and said in bad.error
    assert made.read(Reply(500, None, 1.0)).error == "HTTP 500"


def test_paths() -> None:
    data = {"a": [{"b": {"x": 1}}]}
    assert walk("a[0].b.*")(data) == 1
    assert [walk(path)(data) for path in ("a[1].b", "a.b", "c", "a[0].b.x.y")] == [None] * 4


def test_all_shipped_mappings_load_and_the_schema_is_json() -> None:
    assert {role_of(name) for name in shipped_mappings()} == {"bank", "detector"}
    assert len(shipped_mappings()) == 10
    assert json.loads(mapping_schema())["anyOf"]


def test_a_class_of_ones_own(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "class Mine:\n    name = 'Mine'\n    def movement(self): ...\n\nclass Wrong:\n    x = 1 / 0\n"
    )
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        load_adapter("bank", "mine.py:Mine", tmp_path)
    plugin.write_text("class Mine:\n    name = 'Mine'\n    def movement(self): ...\n")
    assert load_adapter("bank", "mine.py:Mine", tmp_path).name == "Mine"
