"""Publishing and reading against the embedded broker, and against things that are no broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from confluent_kafka import Consumer, TopicPartition
from gevent.pywsgi import WSGIServer

from banksim.kafka import Delivery, EmbeddedBroker, Publisher, TopicReader, broker_problem, client, publisher
from tests.integration.commands import free_port

WAIT_S = 10.0


def until(true: Callable[[], Any]) -> None:
    with gevent.Timeout(WAIT_S):
        while not true():
            gevent.sleep(0.005)


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    host = EmbeddedBroker()
    host.start()
    yield host
    host.close()


@pytest.fixture
def topic() -> str:
    return f"t-{uuid.uuid4().hex}"


@pytest.fixture
def reports() -> list[Delivery]:
    return []


@pytest.fixture
def sender(broker: EmbeddedBroker, reports: list[Delivery]) -> Iterator[Publisher]:
    made = Publisher(broker.servers, reports.append)
    made.start()
    yield made
    made.close()


def test_every_event_gets_one_report(sender: Publisher, reports: list[Delivery], topic: str) -> None:
    for number in range(500):
        assert sender.publish(topic, f"k{number}", b"{}")
    sender.drain(WAIT_S)
    assert sorted(r.key for r in reports) == sorted(f"k{number}" for number in range(500))
    assert {(r.topic, r.error) for r in reports} == {(topic, "")}
    assert all(0.0 < r.latency_ms < WAIT_S * 1000 for r in reports)
    assert sender.waiting == 0


def test_how_far_a_reader_got_is_noted_under_its_group(
    broker: EmbeddedBroker, sender: Publisher, topic: str
) -> None:
    sender.publish(topic, "old", b"old")
    sender.drain(WAIT_S)
    seen: list[bytes] = []
    reader = TopicReader(broker.servers, (topic,), lambda _, value: seen.append(value), group="watchers")
    reader.start()
    for number in range(30):
        sender.publish(topic, f"{number}", b"new")
    until(lambda: len(seen) == 30)
    reader.close()
    onlooker = Consumer({"bootstrap.servers": broker.servers, "group.id": "watchers"})
    partitions = [TopicPartition(topic, n) for n in onlooker.list_topics(topic).topics[topic].partitions]
    assert sum(max(place.offset, 0) for place in onlooker.committed(partitions)) in (30, 31)
    onlooker.close()


def test_a_reader_sees_only_what_comes_after_its_start(
    broker: EmbeddedBroker, sender: Publisher, topic: str
) -> None:
    sender.publish(topic, "old", b"old")
    sender.drain(WAIT_S)
    seen: list[tuple[str, bytes]] = []
    reader = TopicReader(broker.servers, (topic,), lambda name, value: seen.append((name, value)))
    reader.start()
    for number in range(300):
        sender.publish(topic, str(number), b"%d" % number)
    until(lambda: len(seen) >= 300)
    reader.close()
    assert {name for name, _ in seen} == {topic}
    assert sorted(value for _, value in seen) == sorted(b"%d" % number for number in range(300))


def test_a_topic_that_comes_later_is_read_from_its_beginning(
    broker: EmbeddedBroker, sender: Publisher, topic: str
) -> None:
    seen: list[bytes] = []
    reader = TopicReader(broker.servers, (topic,), lambda _, value: seen.append(value))
    reader.start()
    assert reader.waiting_for == (topic,)
    sender.publish(topic, "first", b"first")
    until(lambda: seen)
    reader.close()
    assert seen == [b"first"] and reader.waiting_for == ()


def test_a_full_buffer_drops_at_once(monkeypatch: pytest.MonkeyPatch, topic: str) -> None:
    monkeypatch.setattr(publisher, "MAX_WAITING", 10)
    reports: list[Delivery] = []
    nowhere = Publisher(f"127.0.0.1:{free_port()}", reports.append)
    nowhere.start()
    taken = [nowhere.publish(topic, str(number), b"{}") for number in range(25)]
    assert taken == [True] * 10 + [False] * 15
    nowhere.drain(0.05)
    assert sorted(r.key for r in reports) == sorted(str(number) for number in range(10))
    assert {r.error for r in reports} == {"given up at the end of the run"}
    nowhere.close()
    nowhere.close()  # twice does no harm


def test_an_event_that_is_too_large_is_dropped(sender: Publisher, topic: str) -> None:
    assert not sender.publish(topic, "k", b"x" * 2_000_000)
    assert "size" in sender.last_error.lower()


def test_a_topic_that_is_named_is_made(sender: Publisher, topic: str) -> None:
    assert sender.missing_topics((topic,)) == []


def test_no_problem_with_a_broker(broker: EmbeddedBroker) -> None:
    assert broker_problem(broker.servers) is None
    # One that is down beside one that is up is what a list of brokers is for.
    assert broker_problem(f"127.0.0.1:{free_port()}, {broker.servers}") is None


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "no-such-host.invalid:9092", "127.0.0.1:99999"])
def test_nobody_listens(address: str) -> None:
    servers = address.format(port=free_port())
    assert broker_problem(servers) == f"no broker answers at {servers}"


def test_something_else_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "METADATA_TIMEOUT_S", 1.0)
    server = WSGIServer(("127.0.0.1", 0), lambda environ, start: [b""], log=None, error_log=None)
    server.start()
    problem = broker_problem(f"127.0.0.1:{server.server_port}")
    server.stop()
    assert problem is not None
    assert problem.startswith(f"what listens at 127.0.0.1:{server.server_port} does not answer as a Kafka")


def test_brokers_of_two_clusters(broker: EmbeddedBroker) -> None:
    other = EmbeddedBroker()
    other.start()
    problem = broker_problem(f"{broker.servers},{other.servers}")
    other.close()
    assert problem is not None
    assert "different clusters" in problem and "--kafka-servers" in problem
    assert broker.servers in problem and other.servers in problem


def test_a_broker_that_sends_its_clients_to_nowhere(
    broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = SimpleNamespace(
        cluster_id="c", brokers={1: SimpleNamespace(host="127.0.0.1", port=free_port())}
    )
    monkeypatch.setattr(client, "_ask", lambda address: elsewhere)
    problem = broker_problem(broker.servers)
    assert problem is not None and "advertised.listeners" in problem


def test_an_embedded_broker_stops_listening() -> None:
    host = EmbeddedBroker()
    servers = host.start()
    host.close()
    assert broker_problem(servers) == f"no broker answers at {servers}"
    host.close()
