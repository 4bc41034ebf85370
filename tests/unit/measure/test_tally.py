import pytest

from banksim.measure import Fate, Tally, fate_of
from banksim.model import BankStatus, Decision
from tests.unit.measure.make import MISSING, outcome


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (BankStatus.POSTED, Fate.COMPLETED),
        (BankStatus.REFUSED, Fate.REFUSED),
        (BankStatus.FAILED, Fate.FAILED),
        (BankStatus.UNKNOWN, Fate.UNKNOWN),
        (BankStatus.SKIPPED, Fate.COMPLETED),
    ],
)
def test_fate_by_the_banks_answer(status: BankStatus, fate: Fate) -> None:
    assert fate_of(outcome(status=status)) is fate


def test_without_a_bank_a_detector_error_is_a_failure() -> None:
    assert fate_of(outcome(Decision.NONE, None, BankStatus.SKIPPED, error="HTTP 503")) is Fate.FAILED


def test_with_a_bank_a_detector_error_is_not() -> None:
    assert fate_of(MISSING) is Fate.COMPLETED


def test_the_rest_is_in_flight() -> None:
    tally = Tally()
    tally.offered, tally.started, tally.dropped = 10, 6, 2
    for fate in (Fate.COMPLETED, Fate.REFUSED, Fate.FAILED, Fate.UNKNOWN):
        tally.end(fate)
    found = tally.as_dict()
    assert found["completed"] == 2 and found["refused"] == 1
    assert found["in_flight"] == 4
    assert found["offered"] == sum(
        found[name] for name in ("completed", "failed", "unknown", "dropped", "in_flight")
    )
