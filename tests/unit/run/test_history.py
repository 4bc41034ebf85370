"""A long run's curve is thinned, never cut, and numbers are never used twice."""

from banksim.run.monitor import History


def test_a_reader_gets_only_what_is_new() -> None:
    history = History()
    for n in range(5):
        history.add({"n": n})
    first = history.since(0)
    assert [p["n"] for p in first.points] == [0, 1, 2, 3, 4]
    history.add({"n": 5})
    assert [p["n"] for p in history.since(first.next).points] == [5]
    assert history.since(6).points == []


def test_memory_is_bounded_and_the_whole_run_stays_visible() -> None:
    history = History(max_points=100)
    for n in range(10_000):
        history.add({"n": n})
    shown = [p["n"] for p in history.since(0).points]
    assert len(shown) <= 101
    assert shown[0] == 0
    assert shown[-1] == 9_999
    assert shown == sorted(set(shown))
    assert history.since(0).next == 10_000
