"""A bank and a detector in one that spoil answers, by what they are asked and how often."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field

import gevent
import orjson

from tests.unit.targets.odd_servers import Conversation

#: Faults that are a status, some with a head of their own: they leave the connection as it is.
STATUSES = {
    "401": "401 Unauthorized\r\nWWW-Authenticate: Bearer",
    "404": "404 Not Found",
    "429": "429 Too Many Requests\r\nRetry-After: 7",
    "500": "500 Oops",
    "502": "502 Bad Gateway",
    "503": "503 Unavailable\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT",
    "redirect": "307 Temporary Redirect\r\nLocation: https://elsewhere.example/login",
    "accepted": "202 Accepted",
}
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %(length)d\r\n\r\n%(body)b"
#: The usual answer in an unusual form.
FORMS = {
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%(chunks)b",
    "lower case": b"HTTP/1.1 200 ok\r\ncontent-length:%(length)d\r\nx-odd:   a, b\r\n\r\n%(body)b",
    "two names": b"HTTP/1.1 200 OK\r\nVia: a\r\nVia: b\r\nContent-Length: %(length)d\r\n\r\n%(body)b",
    "go on first": b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
    "created": b"HTTP/1.1 201 Created\r\nContent-Length: %(length)d\r\n\r\n%(body)b",
    "until the end": b"HTTP/1.1 200 OK\r\n\r\n%(body)b",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: %(length)d\r\n\r\n%(body)b",
    "says that it closes": WHOLE.replace(b"\r\n", b"\r\nConnection: close\r\n", 1),
    "closes": WHOLE,
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<p>no</p>",
    "empty": b"HTTP/1.1 204 No Content\r\n\r\n",
    "no object": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
}
#: Those after which the connection is gone.
CLOSING = ("until the end", "old", "says that it closes", "closes")
#: The connection is lost before a whole answer.
LOSSES = {
    "hangs up": b"",
    "resets": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"st',
    "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
}
#: The rest is about what is said, or when.
SAID = ("refused", "blocked", "slow", "in pieces", "another's")
FAULTS = (*STATUSES, *FORMS, *LOSSES, *SAID)
MAX_RETRIES = 2


@dataclass
class Faulty:
    """A bank and a detector in one; ``faults`` come to every third transaction, ``times`` each."""

    faults: tuple[str, ...] = ()
    times: int = 1
    token_ends_after: int = 0
    asked: Counter[bytes] = field(default_factory=Counter)
    logins: int = 1
    requests: int = 0

    def __call__(self, c: Conversation) -> None:
        while request := c.request():
            if not self.answer(c, request):
                return

    def answer(self, c: Conversation, request: bytes) -> bool:
        """Whether the connection goes on."""
        if request.startswith(b"POST /rbac/auth/login"):
            self.logins += 1
            c.answer(b'{"access_token":"token-%d"}' % self.logins)
            return True
        is_score = b"POST /score" in request
        self.requests += not is_score
        if self.token_ends_after and not is_score:
            wanted = 1 if self.requests <= self.token_ends_after else 2
            if b"Authorization: Bearer token-%d\r\n" % wanted not in request:
                c.answer(b'{"detail":"Token expired"}', "401 Unauthorized")
                return True
        name = id_of(request) + (b"s" if is_score else b"")
        self.asked[name] += 1
        draw = drawn(name)
        body = self.usual(request, is_score)
        if not self.faults or draw % 3:
            c.answer(body)
            return True
        fault = self.faults[draw // 3 % len(self.faults)]
        # What loses connections is over before retries are, so that it does not matter which rested before.
        times = min(self.times, MAX_RETRIES) if fault in LOSSES else self.times
        if self.asked[name] <= times:
            return self.spoil(c, fault, body, is_score)
        if fault in LOSSES:
            c.answer(body, head=b"Connection: close\r\n")
            return False
        c.answer(body)
        return True

    @staticmethod
    def usual(request: bytes, is_score: bool) -> bytes:
        if not is_score:
            return b'{"state":"completed","ok":true}'
        share = drawn(b"score" + id_of(request)) % 100
        word = "BLOCK" if share < 5 else "REVIEW" if share < 15 else "APPROVE"
        reasons = ["velocity"] if share < 9 else []
        return orjson.dumps({"score": 1 - share / 100, "decision": word, "reasons": reasons})

    @staticmethod
    def spoil(c: Conversation, fault: str, body: bytes, is_score: bool) -> bool:
        if fault in STATUSES:
            c.answer(b'{"detail":"not today"}', STATUSES[fault])
        elif fault in FORMS:
            chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
            c.send(FORMS[fault] % {b"body": body, b"length": len(body), b"chunks": chunks})
            return fault not in CLOSING
        elif fault in LOSSES:
            if LOSSES[fault]:
                c.send(LOSSES[fault])
            if fault == "resets":
                c.reset()
            return False
        elif fault == "in pieces":
            for part in (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body[:7], body[7:]):
                c.send(part)
                gevent.sleep(0.002)
        elif fault == "refused" and not is_score:
            c.answer(b'{"detail":"Insufficient funds: available 1"}', "400 Bad Request")
        elif fault == "blocked" and not is_score:
            c.answer(b'{"detail":"Blocked by fraud rules"}', "403 Forbidden")
        elif fault == "another's" and is_score:
            c.answer(b'{"transaction_id":"of-another","score":0.9,"decision":"BLOCK"}')
        else:
            if fault == "slow":
                gevent.sleep(0.005)
            c.answer(body)
        return True


def drawn(text: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big")


def id_of(request: bytes) -> bytes:
    found = re.search(rb'"(?:reference|transaction_id|key|id)":"([^"]+)"', request)
    return found.group(1) if found else b""
