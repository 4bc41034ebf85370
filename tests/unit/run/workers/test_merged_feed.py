from __future__ import annotations

from banksim.run.workers.intake import MergedFeed


def test_items_are_numbered_in_the_order_of_arrival() -> None:
    feed = MergedFeed(10)
    feed.take(0, 4, [{"seq": 0, "id": "a"}, {"seq": 1, "id": "b"}])
    feed.take(1, 9, [{"seq": 0, "id": "c"}])
    found = feed.since(1)
    assert [(item["seq"], item["id"]) for item in found["items"]] == [(1, "b"), (2, "c")]
    assert found["next"] == 3
    assert found["shown_of"] == {"sampled": 3, "seen": 13}


def test_it_is_bounded() -> None:
    feed = MergedFeed(3)
    for number in range(10):
        feed.take(0, number, [{"seq": number, "id": number}])
    assert [item["id"] for item in feed.items()] == [7, 8, 9]
