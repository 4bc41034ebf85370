from __future__ import annotations

import random
import uuid

from banksim.model import Kind
from banksim.world.random import opaque_id, stream, stream_key


def test_same_names_give_the_same_numbers() -> None:
    assert [stream(1, "a", 2).random() for _ in range(2)] == [stream(1, "a", 2).random()] * 2


def test_the_numbers_never_change_between_versions() -> None:
    # A seed in a bug report must mean the same run tomorrow.
    assert stream_key(1, "customer", 42) == 17403745389014954788


def test_names_seeds_and_types_tell_streams_apart() -> None:
    keys = [
        stream_key(1, "ab", "c"),
        stream_key(1, "a", "bc"),
        stream_key(1, "abc"),
        stream_key(2, "abc"),
        stream_key(1, "1"),
        stream_key(1, 1),
        stream_key(1),
    ]
    assert len(set(keys)) == len(keys)


def test_an_enum_member_names_the_same_stream_as_its_text() -> None:
    assert stream_key(1, Kind.PURCHASE) == stream_key(1, "purchase")


def test_the_process_wide_generator_is_left_alone() -> None:
    random.seed(5)
    expected = random.random()
    random.seed(5)
    opaque_id(stream(1, "x"))
    assert random.random() == expected


def test_opaque_ids_are_version_4_uuids_and_differ() -> None:
    rng = stream(1, "ids")
    ids = [opaque_id(rng) for _ in range(500)]
    assert len(set(ids)) == 500
    assert {uuid.UUID(text).version for text in ids} == {4}
    assert {uuid.UUID(text).variant for text in ids} == {uuid.RFC_4122}
