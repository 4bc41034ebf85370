"""Heads that were seen before: a short cut that must lead where the long way leads."""

from __future__ import annotations

import pytest

from banksim.targets.http.client import AnswerTooLarge
from banksim.targets.http.parser import MAX_HEADS, AnswerReader, Heads

HEAD = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: %d\r\n\r\n"


def answer(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def read(reader: AnswerReader, *blocks: bytes, headers_only: bool = False) -> tuple[int, bytes, bool, bool]:
    """(status, body, complete, reusable) after these blocks."""
    reader.expect(headers_only)
    for block in blocks:
        reader.feed(block)
    return reader.status, reader.body, reader.complete, reader.reusable


def test_a_repeated_head_is_read_like_the_first() -> None:
    heads: Heads = {}
    reader = AnswerReader(1000, heads)
    assert read(reader, answer(b'{"a":1}')) == (200, b'{"a":1}', True, True)
    assert len(heads) == 1
    assert read(reader, answer(b'{"b":2}')) == (200, b'{"b":2}', True, True)
    assert reader.received_bytes == len(answer(b'{"b":2}'))
    other = AnswerReader(1000, heads)
    assert read(other, answer(b'{"c":3}')) == (200, b'{"c":3}', True, True)


def test_the_parser_goes_on_after_short_cuts() -> None:
    reader = AnswerReader(1000)
    for body in (b"1234567", b"7654321", b"12345678", b"1234567"):
        assert read(reader, answer(body)) == (200, body, True, True)


@pytest.mark.parametrize("cut", [5, 40, 52, 55])
def test_an_answer_in_two_blocks_goes_the_long_way(cut: int) -> None:
    reader = AnswerReader(1000)
    whole = answer(b"1234567")
    read(reader, whole)
    assert read(reader, whole[:cut], whole[cut:]) == (200, b"1234567", True, True)


def test_more_than_the_answer_makes_the_connection_unusable() -> None:
    reader = AnswerReader(1000)
    read(reader, answer(b"1234567"))
    status, body, complete, reusable = read(reader, answer(b"1234567") + b"HTTP/1.1 200 OK\r\n")
    assert (status, body, complete, reusable) == (200, b"1234567", True, False)


@pytest.mark.parametrize(
    "whole",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_what_is_more_than_a_head_and_a_body_is_not_remembered(whole: bytes) -> None:
    heads: Heads = {}
    reader = AnswerReader(1000, heads)
    reader.feed(whole)
    assert reader.complete
    assert heads == {}


def test_an_answer_to_head_is_never_a_short_cut() -> None:
    reader = AnswerReader(1000)
    read(reader, answer(b"1234567"))
    assert read(reader, HEAD % 7, headers_only=True) == (200, b"", True, False)


def test_the_limit_holds_for_known_heads_too() -> None:
    heads: Heads = {}
    read(AnswerReader(1000, heads), answer(b"1234567"))
    with pytest.raises(AnswerTooLarge):
        read(AnswerReader(20, heads), answer(b"1234567"))


def test_remembered_heads_are_bounded() -> None:
    heads: Heads = {}
    reader = AnswerReader(10_000, heads)
    for number in range(3 * MAX_HEADS):
        head = b"HTTP/1.1 200 OK\r\nX-Request-Id: %d\r\nContent-Length: 2\r\n\r\n{}" % number
        assert read(reader, head)[2]
    assert 0 < len(heads) <= MAX_HEADS
