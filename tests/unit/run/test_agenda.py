"""What has a date comes out in order of its date, and equals in order of entry."""

import pytest

from banksim.run.dispatcher import Agenda, FirstDeposit


def mark(planned: object = None) -> FirstDeposit:
    return FirstDeposit(planned=planned, begin=lambda: None)  # type: ignore[arg-type]


def entries(agenda: Agenda) -> list[tuple[float, object]]:
    out = []
    while len(agenda):
        out.append(agenda.pop())
    return out


def test_in_order_of_moment_then_of_entry() -> None:
    agenda = Agenda()
    marks = [mark() for _ in range(4)]
    for moment_s, entry in zip((5.0, 1.0, 5.0, 3.0), marks, strict=True):
        agenda.add(moment_s, entry)
    assert agenda.peek() == 1.0
    popped = entries(agenda)
    assert [moment_s for moment_s, _ in popped] == [1.0, 3.0, 5.0, 5.0]
    assert [entry for _, entry in popped][2] is marks[0]
    assert agenda.peek() is None


def test_dropping_keeps_the_order_of_the_rest() -> None:
    agenda = Agenda()
    marks = {moment_s: mark(moment_s) for moment_s in (4.0, 2.0, 9.0, 7.0)}
    for moment_s, entry in marks.items():
        agenda.add(moment_s, entry)
    assert agenda.drop(lambda entry: entry is marks[2.0] or entry is marks[9.0]) == 2
    assert [moment_s for moment_s, _ in entries(agenda)] == [4.0, 7.0]


def test_an_empty_agenda_has_nothing_to_pop() -> None:
    with pytest.raises(IndexError):
        Agenda().pop()
