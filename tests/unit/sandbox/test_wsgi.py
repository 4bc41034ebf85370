"""The WSGI face, without a socket."""

import io

import orjson
import pytest

from banksim.sandbox.http import WsgiFace


class Echo:
    def handle(self, method, path, query, body=None):
        if path == "/fault":
            raise RuntimeError("broken")
        return 200, {"method": method, "path": path, "query": dict(query), "body": body}


def call(path="/x", method="POST", raw=b"", content_type="application/json", limit=1_000, **environ):
    seen = {}

    def start_response(status, headers):
        seen["status"], seen["headers"] = status, dict(headers)

    face = WsgiFace(Echo(), max_body_bytes=limit)
    chunks = face(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "CONTENT_TYPE": content_type,
            "CONTENT_LENGTH": str(len(raw)) if raw else "",
            "wsgi.input": io.BytesIO(raw),
            **environ,
        },
        start_response,
    )
    payload = b"".join(chunks)
    return seen["status"], seen["headers"], orjson.loads(payload) if payload else None


def test_json_in_json_out():
    status, headers, answer = call(raw=b'{"a": 1}', QUERY_STRING="skip=1&limit=&name=a%20b")
    assert status == "200 OK"
    assert headers["Content-Type"] == "application/json"
    assert answer["body"] == {"a": 1}
    assert answer["query"] == {"skip": "1", "limit": "", "name": "a b"}


@pytest.mark.parametrize("raw", [b"{broken", b"\xff\xfe", b'{"a": NaN}'])
def test_broken_json_is_422(raw):
    status, _, answer = call(raw=raw)
    assert status.startswith("422")
    assert answer["detail"][0]["type"] == "json_invalid"
    assert answer["detail"][0]["loc"][0] == "body"


def test_other_content_types_arrive_as_text():
    assert call(raw=b'{"a": 1}', content_type="text/plain")[2]["body"] == '{"a": 1}'
    assert call(raw=b"1", content_type="application/json; charset=utf-8")[2]["body"] == 1


def test_no_body_is_none():
    assert call()[2]["body"] is None


@pytest.mark.parametrize("environ", [{}, {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}])
def test_a_body_over_the_bound_is_413_and_closes(environ):
    status, headers, answer = call(raw=b"x" * 1_001, **environ)
    assert status.startswith("413")
    assert headers["Connection"] == "close"
    assert "1000" in answer["detail"]


def test_a_nonsense_length_is_refused():
    assert call(raw=b"x", CONTENT_LENGTH="-5")[0].startswith("413")


def test_a_trailing_slash_redirects():
    status, headers, _ = call(path="/customers/")
    assert status.startswith("307")
    assert headers["Location"] == "/customers"


def test_a_fault_is_500_with_the_traceback_in_the_log(caplog):
    status, _, answer = call(path="/fault")
    assert (status, answer) == ("500 Internal Server Error", {"detail": "Internal Server Error"})
    assert "broken" in caplog.text


def test_head_has_no_body():
    assert call(method="HEAD")[2] is None
