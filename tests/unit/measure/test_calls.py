import json

from banksim.measure.counts import Calls, ErrorRow
from tests.unit.measure.make import START


def test_slowest_call_first_with_its_failures() -> None:
    calls = Calls(10, 10)
    calls.add("nexum", "deposit", 5.0, None, START)
    calls.add("bastion", "score", 50.0, "timeout", START)
    calls.add("bastion", "score", 40.0, None, START)
    rows = calls.rows()
    assert [(row.target, row.call, row.count, row.failed) for row in rows] == [
        ("bastion", "score", 2, 1),
        ("nexum", "deposit", 1, 0),
    ]
    assert calls.of_system("bastion").count == 2
    assert calls.error_rows() == [ErrorRow("bastion", "score", "timeout", 1)]


def test_both_bounds_lose_names_but_no_counts() -> None:
    calls = Calls(max_calls=2, max_errors=3)
    for number in range(10):
        calls.add("nexum", f"call {number}", 1.0, f"error {number}", START)
    assert sum(row.count for row in calls.rows()) == 10
    assert len(calls.rows()) == 3
    rows = calls.error_rows()
    assert len(rows) == 4 and sum(row.count for row in rows) == 10

    merged = Calls(max_calls=2, max_errors=3)
    state = json.loads(json.dumps(calls.to_state()))
    merged.merge_state(state)
    merged.merge_state(state)
    assert sum(row.count for row in merged.rows()) == 20
    assert sum(row.failed for row in merged.rows()) == 20
    assert sum(row.count for row in merged.error_rows()) == 20


def test_a_long_error_text_is_cut() -> None:
    calls = Calls(2, 2)
    calls.add("nexum", "deposit", 1.0, "x" * 5_000, START)
    assert len(calls.error_rows()[0].error) == 200


def test_a_call_that_was_held_back_is_an_error_without_a_latency() -> None:
    calls = Calls(max_calls=10, max_errors=10)
    calls.add_unsent("nexum", "POST /x", "circuit open: connection refused")
    assert calls.rows() == []
    assert calls.error_rows() == [ErrorRow("nexum", "POST /x", "circuit open: connection refused", 1)]
