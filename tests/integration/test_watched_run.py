"""What only a run shows of the code's structure: the way of a transaction, and what is published."""

from __future__ import annotations

import pytest

from tests.gauges import RUN_GAUGES, Watched, journey_files, unread, watch_run


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return watch_run(tmp_path_factory.mktemp("watched"))


def test_the_way_of_a_genuine_transaction(watched: Watched) -> None:
    assert watched.transactions >= 10  # a busy machine ends a few long journeys, an idle one two hundred
    way = ("schedule/simulation", "run/executor", "targets/carrier", "targets/http/lanes", "measure/measures")
    assert [file for file in way if f"banksim/{file}.py" not in watched.journey] == []
    block = ("activity/rows", "activity/finder", "targets/wire_blocks")
    assert [file for file in block if f"banksim/{file}.py" not in watched.by_the_block] == []
    gauge = RUN_GAUGES[0]
    assert not gauge.held or journey_files(watched) <= gauge.limit, "\n".join(watched.journey)


def test_everything_published_is_read(watched: Watched) -> None:
    assert len(watched.published) > 400
    assert not RUN_GAUGES[1].held or unread(watched.published) == []
