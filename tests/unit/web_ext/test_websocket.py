"""The WebSocket, heard by a client that was written from the description alone."""

from __future__ import annotations

import json
import socket
import time

import gevent
import pytest
import websocket
from gevent.pywsgi import WSGIServer

from tests.unit.web_ext.conftest import Site
from tests.unit.web_ext.fakes import DemoView, ManualClock
from tests.unit.web_ext.schemas import SCHEMAS
from web_ext.messages import frame_of, text_frame
from web_ext.stream import MAX_FEED, Hub
from web_ext.websocket import BATCH_BYTES, Listener

PATIENCE_S = 10.0


def check(message):
    """The message, if it keeps to the schema of its type."""
    SCHEMAS[message["type"]].validate(message)
    return message


class Served:
    """A site behind the server that Locust uses, on a free port; its days run fast."""

    def __init__(self, **options):
        self.site = Site(**options)
        self.server = WSGIServer(("127.0.0.1", 0), self.site.app, log=None)
        self.server.start()
        self.ticker = gevent.spawn(self._tick)

    def _tick(self):
        while True:
            gevent.sleep(0.02)
            self.site.clock.now_s += 1
            self.site.hub.tick()

    @property
    def address(self):
        return f"127.0.0.1:{self.server.server_port}"

    def connect(self, path="/ws", **options):
        return websocket.create_connection(f"ws://{self.address}{path}", timeout=PATIENCE_S, **options)

    def close(self):
        self.ticker.kill()
        self.server.stop(timeout=0.1)


@pytest.fixture
def serve():
    running = []

    def start(**options):
        running.append(Served(**options))
        return running[-1]

    yield start
    for served in running:
        served.close()


def hear(client, *types):
    """Messages until one of each type was heard."""
    heard = {}
    deadline = time.monotonic() + PATIENCE_S
    while set(types) - set(heard):
        assert time.monotonic() < deadline, f"heard only {set(heard)}"
        message = check(json.loads(client.recv()))
        heard.setdefault(message["type"], message)
    return heard


def test_every_schema_is_a_schema():
    for name, schema in SCHEMAS.items():
        schema.check_schema(schema.schema)
        assert schema.schema["title"] == name
        if name in ("results", "snapshot"):
            continue  # values, not messages
        # Those of the WebSocket name themselves; the pages' stream and the record have events.
        said = schema.schema["properties"]
        assert said["type"] == {"const": name} if "type" in said else "event" in said


def test_a_client_of_the_description_hears_all_three_types(serve):
    client = serve().connect()
    heard = hear(client, "metrics_update", "transaction_feed", "fraud_alert")
    metrics = heard["metrics_update"]["data"]
    assert {"current_tps", "total_transactions", "fraud_rate", "api_latency"} <= set(metrics)
    assert set(metrics["api_latency"]) == {"nexum", "bastion"}
    feed = heard["transaction_feed"]["data"]
    assert {"id", "customer", "amount", "merchant", "fraud_score", "timestamp"} <= set(feed)
    assert isinstance(feed["amount"], float)
    alert = heard["fraud_alert"]
    assert alert["severity"] == "high"
    assert alert["data"]["fraud_score"] > 0.8
    assert alert["data"]["risk_factors"] == ["velocity"]
    client.close()


def test_the_snapshot_comes_first_and_at_once(serve):
    served = serve(state="paused")
    client = served.connect()
    first = check(json.loads(client.recv()))
    assert first["type"] == "metrics_update"
    assert first["data"]["state"] == "paused"
    client.close()


def test_subscribing_narrows_and_unsubscribing_silences(serve):
    client = serve().connect()
    client.send(json.dumps({"type": "subscribe", "topics": ["metrics"]}))
    said = hear(client, "subscribed")["subscribed"]
    assert said["topics"] == ["metrics"]
    assert {json.loads(client.recv())["type"] for _ in range(2)} == {"metrics_update"}
    client.send(json.dumps({"type": "subscribe", "topics": ["transactions"]}))
    assert hear(client, "subscribed")["subscribed"]["topics"] == ["metrics", "transactions"]
    hear(client, "metrics_update", "transaction_feed")
    client.send(json.dumps({"type": "unsubscribe", "topics": ["metrics", "transactions"]}))
    assert hear(client, "subscribed")["subscribed"]["topics"] == []
    client.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        client.recv()
    client.close()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"type": "shout"}', '{"type": "subscribe"}', '{"type": "subscribe", "topics": ["all"]}'],
)
def test_what_is_not_understood_is_answered_in_words(serve, text):
    client = serve().connect()
    client.send(text)
    assert "xpected" in hear(client, "error")["error"]["message"]
    client.send('{"type": "ping"}')
    hear(client, "pong")
    client.close()


def test_a_message_too_long_ends_the_connection(serve):
    client = serve().connect()
    client.send("x" * 100_000)
    with pytest.raises((websocket.WebSocketException, OSError)):
        for _ in range(1000):
            client.recv()


def test_a_place_comes_free_when_a_client_leaves(serve):
    served = serve()
    hub = served.site.hub
    clients = [served.connect() for _ in range(3)]
    assert hub.sockets == 3
    for client in clients:
        client.close()
    deadline = time.monotonic() + PATIENCE_S
    while hub.sockets:
        assert time.monotonic() < deadline
        gevent.sleep(0.01)


def test_a_slow_client_gets_whole_messages_and_the_newest_metrics(serve):
    served = serve(merchant="M" * 4000, duration_s=1e7)  # a day of these would be over in three seconds
    client = websocket.create_connection(
        f"ws://{served.address}/ws",
        timeout=PATIENCE_S,
        sockopt=((socket.SOL_SOCKET, socket.SO_RCVBUF, 4096),),
    )
    quick = served.connect()
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline:  # the other one reads on, nobody waits for the slow one
        hear(quick, "transaction_feed")
    seen_skip = False
    for _ in range(400):
        message = check(json.loads(client.recv()))  # a torn stream would not be JSON
        seen_skip = seen_skip or "skipped" in message
    assert seen_skip
    assert hear(client, "metrics_update")["metrics_update"]["data"]["total_transactions"] > 0
    client.close()
    quick.close()


def test_another_sites_page_gets_no_connection(serve):
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        serve().connect(origin="http://evil.example")


def test_another_host_name_gets_no_connection(serve):
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        serve().connect(host="evil.example")


def test_login_is_asked_before_the_handshake(serve):
    served = serve(login=True)
    served.site.set_up_login()
    with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
        served.connect()


def test_it_lives_under_the_base_path(serve):
    client = serve(base="/bank").connect("/bank/ws")
    hear(client, "metrics_update")
    client.close()


def test_a_plain_request_is_told_what_this_is(site):
    answer = site.client.get("/ws")
    assert answer.status_code == 426
    assert "WebSocket" in answer.get_json()["error"]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_carry_their_length(size):
    frame = text_frame(b"x" * size)
    header = len(frame) - size
    assert header == (2 if size < 126 else 4 if size < 65_536 else 10)
    length = frame[1] if size < 126 else int.from_bytes(frame[2:header], "big")
    assert length == size


def joined(hub):
    listener = Listener(hub)
    assert listener.join()
    return listener


def test_a_slow_client_loses_the_oldest_of_the_feed_and_is_sent_their_number():
    hub = Hub(DemoView(ManualClock()), start=lambda work: None)
    listener, quick = joined(hub), joined(hub)
    for client in (listener, quick):
        client.take()
    quick.hear('{"type": "unsubscribe", "topics": ["transactions"]}')
    hub.metrics.add(b"old")
    hub.metrics.add(b"metrics")
    hub.alerts.add(b"alert")
    for n in range(MAX_FEED + 7):
        hub.feed.add(({"n": n}, frame_of({"n": n})))
    sent = listener.take()
    assert sent.startswith(b"metricsalert")
    assert b'{"n":7,"skipped":7}' in sent
    assert b'{"n":6}' not in sent
    assert hub.counts.skipped == 7
    while len(sent) >= BATCH_BYTES:
        sent = listener.take()
        assert b"skipped" not in sent
    # The other client does not read the feed, and has lost nothing.
    assert quick.take().endswith(b"metricsalert")


def test_a_batch_is_bounded_and_newer_metrics_overtake_the_feed():
    hub = Hub(DemoView(ManualClock()), start=lambda work: None)
    listener = joined(hub)
    listener.take()
    entry = b"x" * (BATCH_BYTES // 2)
    for _ in range(5):
        hub.feed.add(({}, entry))
    assert len(listener.take()) == 2 * len(entry)
    hub.metrics.add(b"newer")
    assert listener.take().startswith(b"newer")


def test_what_came_while_a_topic_was_not_wanted_is_not_sent_later():
    hub = Hub(DemoView(ManualClock()), start=lambda work: None)
    listener = joined(hub)
    listener.hear('{"type": "subscribe", "topics": ["metrics"]}')
    hub.feed.add(({}, b"before"))
    listener.hear('{"type": "subscribe", "topics": ["transactions"]}')
    hub.feed.add(({}, b"after"))
    sent = listener.take()
    assert b"after" in sent
    assert b"before" not in sent


def test_pages_and_websocket_clients_share_one_reading():
    clock = ManualClock()
    hub = Hub(DemoView(clock), clock=clock, start=lambda work: None)
    clock.now_s += 3
    page, listener = hub.join(), joined(hub)
    listener.take()
    stream = hub.stream(page)
    next(stream)
    clock.now_s += 1
    hub.tick()
    items = json.loads(next(stream).decode().split("data: ")[1])["feed"]["items"]
    sent = listener.take()
    assert len(items) == 12
    assert all(item["transaction_id"].encode() in sent for item in items)
    assert sent.count(b'"transaction_feed"') == 12


def test_nothing_is_read_while_no_client_is_there():
    started = []
    hub = Hub(DemoView(ManualClock()), start=started.append, max_sockets=1)
    listener = joined(hub)
    assert not Listener(hub).join()
    assert hub.counts.refused == 1
    listener.close()
    started[0]()  # returns at once: the last one has left
    assert hub.sockets == 0


@pytest.mark.parametrize(("parts", "text"), [(30_000, b""), (1_000, b"x"), (5, b"x" * 4_000)])
def test_a_message_in_many_pieces_costs_what_it_carries(serve, parts, text):
    served = serve()
    client = served.connect()
    begun_s = time.process_time()
    frame = bytes([0x00, 0x80 | min(len(text), 126)])
    frame += len(text).to_bytes(2, "big") if len(text) > 125 else b""
    frame += b"\0\0\0\0" + text
    first = bytes([frame[0] | 0x01]) + frame[1:]
    try:
        client.sock.sendall(first + frame * (parts - 1))
        while client.sock.recv(65_536):
            pass
    except OSError:
        pass  # the server has closed the connection
    finally:
        client.shutdown()
    assert time.process_time() - begun_s < 2.0


def test_status_and_metrics_come_when_asked_for_and_every_change_of_the_run_is_told(serve):
    served = serve()
    client = served.connect()
    client.send(json.dumps({"type": "subscribe", "topics": []}))
    hear(client, "subscribed")
    client.send(json.dumps({"type": "get_status"}))
    assert hear(client, "status")["status"]["data"]["state"] == "running"
    client.send(json.dumps({"type": "get_metrics"}))
    assert "current_tps" in hear(client, "metrics_update")["metrics_update"]["data"]
    for action, state in (("pause", "paused"), ("resume", "running")):
        served.site.view.control(action, None)
        told = hear(client, "system_event")["system_event"]
        assert told["data"]["state"] == state and told["event"] == "run_changed"
    client.close()
