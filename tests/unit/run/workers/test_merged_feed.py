from __future__ import annotations

from banksim.run.sink import ShownOf
from banksim.run.workers.intake import MergedFeed
from tests.unit.run.makers import feed_item


def test_items_are_numbered_in_the_order_of_arrival() -> None:
    feed = MergedFeed(10)
    feed.take(0, 4, [feed_item(0, "a"), feed_item(1, "b")])
    feed.take(1, 9, [feed_item(0, "c")])
    found = feed.since(1)
    assert [(item.seq, item.transaction_id) for item in found.items] == [(1, "b"), (2, "c")]
    assert found.next == 3
    assert found.shown_of == ShownOf(sampled=3, seen=13)


def test_it_is_bounded() -> None:
    feed = MergedFeed(3)
    for number in range(10):
        feed.take(0, number, [feed_item(number, str(number))])
    assert [item.transaction_id for item in feed.items()] == ["7", "8", "9"]
