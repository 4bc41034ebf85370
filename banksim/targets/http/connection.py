"""Keep-alive connections, the bounded pool they rest in, and the HTTP client over them.

A plain connection is a raw non-blocking socket with one read watcher of the hub, kept for
its whole life.  Right after a request no answer can be there yet, so it waits first and
reads then; gevent's own socket would try in vain before each wait.  A TLS connection is
gevent's, which has to read and write as its records want it.

The pool hands out the connection used last (LIFO), so a few stay busy and the rest grow
old together; one that rested longer than `MAX_IDLE_S`, or has something to read (a close,
or bytes out of turn), is not used again.
"""

from __future__ import annotations

import errno
import math
import socket
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import certifi
import gevent
import gevent.socket
import gevent.ssl
from gevent import monkey
from gevent.lock import BoundedSemaphore

from banksim.model import LocalLimit, UsageError
from banksim.targets.auth import FrontDoor
from banksim.targets.calls import NO_CONNECTION
from banksim.targets.http.client import (
    Answer,
    AnswerTooLarge,
    BaseUrl,
    BrokenAnswer,
    HttpCalls,
    NoAnswer,
    Progress,
)
from banksim.targets.http.parser import AnswerReader, Heads

#: Shorter than uvicorn's default keep-alive of 5 s: a request must not race the server's close.
MAX_IDLE_S = 4.0
#: Most connections of one pool, where the process may open enough files.
MAX_CONNECTIONS = 4_000
#: File descriptors left for everything else: logs, reports, the web page, other workers.
KEPT_FILES = 64
#: Multiples of it, modulo 1, spread evenly however many there are.
GOLDEN_RATIO = 0.618034
READ_BLOCK_BYTES = 16 * 1024
_READ, _WRITE = 1, 2  # what a watcher of the hub waits for
#: The C objects themselves: gevent's patched ones visit the hub.
_poll: Any = monkey.get_original("select", "poll")
_socket: Any = monkey.get_original("socket", "socket")


# -- Why a connection failed ------------------------------------------------------------------------


#: Errors of ``connect`` that are this machine's own exhaustion.
_LOCAL_LIMITS = {
    errno.EMFILE: LocalLimit.FILES,
    errno.ENFILE: LocalLimit.FILES,
    errno.EADDRNOTAVAIL: LocalLimit.PORTS,
    errno.ENOBUFS: LocalLimit.MEMORY,
    errno.ENOMEM: LocalLimit.MEMORY,
}
#: What a resolver that works answers for a name that does not exist.
_UNKNOWN_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


def local_limit(error: BaseException) -> LocalLimit | None:
    """What this machine ran out of when it could not connect; None when the other side is the reason."""
    if isinstance(error, socket.gaierror):
        return None if error.errno in _UNKNOWN_NAME else LocalLimit.RESOLVER
    return _LOCAL_LIMITS.get(error.errno or 0) if isinstance(error, OSError) else None


def describe(error: BaseException) -> str:
    """A connection's failure, as shown to users."""
    limit = local_limit(error)
    if limit is not None:
        return str(limit)
    match error:
        case AnswerTooLarge():
            return str(error)
        case BrokenAnswer():
            return f"not a whole HTTP answer ({error})"
        case ssl.SSLCertVerificationError():
            return f"the server's certificate is not accepted: {error.verify_message}"
        case ssl.SSLError() if "CERTIFICATE_REQUIRED" in (error.reason or ""):
            return "the server asks for a client certificate (certificate and key of the target)"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error}"
        case socket.gaierror():
            return "the host name is not known"
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return NO_CONNECTION
        case ConnectionResetError() | BrokenPipeError():
            return "the connection was reset"
        case _:
            return str(error) or type(error).__name__


# -- Connections ------------------------------------------------------------------------------------


class Connection(ABC):
    """One connection.  ``nothing_left`` is True while surely no byte of the request left this machine."""

    def __init__(self, sock: Any, reader: AnswerReader) -> None:
        self._sock = sock
        self._poller = _poll()
        self._poller.register(sock.fileno(), _READ)  # a close is always among the answers
        self._resting_since_s = 0.0
        self.ends_s = math.inf  # monotonic; the pool sets it
        self.reader = reader
        self.served = False
        self.nothing_left = True

    @abstractmethod
    def send(self, data: bytes | memoryview) -> None:
        """Write all of it.  Raises OSError."""

    @abstractmethod
    def receive(self) -> bytes:
        """Wait for the next block; b"" at the end.  Raises OSError."""

    def write(
        self,
        data: bytes | memoryview,
        progress: Progress,
        send: Callable[[memoryview], None] | None = None,
    ) -> None:
        """Send a request.  ``progress.sent`` stays as it was where surely nothing left.  Raises NoAnswer."""
        sent_before, progress.sent = progress.sent, True
        try:
            (send or self.send)(memoryview(data))
        except OSError as error:
            if self.nothing_left:
                progress.sent = sent_before
            raise NoAnswer(describe(error), stale=self.served) from error

    def answer(self, progress: Progress) -> Answer:
        """Read the answer, or the rest of it.  Raises NoAnswer."""
        reader = self.reader
        try:
            while not reader.complete:
                self.feed(self.receive())
                progress.status = reader.status
        except (OSError, BrokenAnswer, AnswerTooLarge) as error:
            return self.broken(error)
        return Answer(reader.status, reader.body, reader.received_bytes, note=reader.note)

    def feed(self, block: bytes) -> None:
        """What `receive` gave.  Raises OSError, BrokenAnswer and AnswerTooLarge."""
        if block:
            self.reader.feed(block)
        elif self.reader.received_bytes:
            self.reader.end()
        else:
            raise ConnectionResetError

    def broken(self, error: Exception) -> Answer:
        """An answer that broke off after its status.  Raises NoAnswer where there is not even one."""
        reader = self.reader
        reader.reusable = False
        if reader.status:
            text = f"the answer broke off: {describe(error)}"
            return Answer(reader.status, b"", reader.received_bytes, text)
        if not reader.received_bytes and isinstance(error, ConnectionResetError):
            text = "the connection was closed before an answer"
            raise NoAnswer(text, stale=self.served) from error
        raise NoAnswer(describe(error)) from error

    def rest(self) -> None:
        self.served = True
        self._resting_since_s = time.monotonic()

    def usable(self) -> bool:
        """Whether a resting connection may carry another request."""
        now_s = time.monotonic()
        return now_s - self._resting_since_s < MAX_IDLE_S and now_s < self.ends_s and not self._poller.poll(0)

    def close(self) -> None:
        self._sock.close()


class PlainConnection(Connection):
    """Over TCP.  ``sock`` is a native socket, not blocking."""

    def __init__(self, sock: Any, reader: AnswerReader) -> None:
        super().__init__(sock, reader)
        self._hub = gevent.get_hub()
        self._readable = self._hub.loop.io(sock.fileno(), _READ)

    def send(self, data: bytes | memoryview) -> None:
        self.nothing_left = True
        try:
            accepted = self._sock.send(data)
        except BlockingIOError:
            accepted = 0
        if accepted < len(data):
            self.nothing_left = accepted == 0
            self.send_rest(memoryview(data)[accepted:])
        self.nothing_left = False

    def send_rest(self, data: memoryview) -> None:
        writable = self._hub.loop.io(self._sock.fileno(), _WRITE)
        try:
            while data:
                self._hub.wait(writable)
                accepted = self._sock.send(data)
                self.nothing_left = self.nothing_left and accepted == 0
                data = data[accepted:]
        finally:
            writable.close()

    def receive(self) -> bytes:
        while True:
            self._hub.wait(self._readable)
            try:
                block: bytes = self._sock.recv(READ_BLOCK_BYTES)
            except BlockingIOError:
                continue  # woken for nothing
            return block

    def close(self) -> None:
        self._readable.close()
        super().close()


class TlsConnection(Connection):
    """Over TLS; ``sock`` is gevent's.  Nothing is claimed about what left after a failed write."""

    def send(self, data: bytes | memoryview) -> None:
        self.nothing_left = False
        self._sock.sendall(data)

    def receive(self) -> bytes:
        block: bytes = self._sock.recv(READ_BLOCK_BYTES)
        return block


Made = TypeVar("Made", bound=PlainConnection)


class Connector:
    """Makes connections to one address.  Certificate and host name are verified."""

    def __init__(
        self,
        url: BaseUrl,
        *,
        timeout_s: float,
        limit_bytes: int,
        ca_file: str = "",
        door: FrontDoor | None = None,
    ) -> None:
        """``door`` gives the client's certificate and the proxy.  Raises UsageError for wrong files."""
        self._url = url
        self._timeout_s = timeout_s
        self._limit_bytes = limit_bytes
        self.heads: Heads = {}  # all connections lead to one server, whose heads are alike
        self._door = door or FrontDoor()
        self._proxy = BaseUrl.parse(self._door.proxy) if self._door.proxy else None
        self._tls = _tls_context(ca_file, self._door) if url.tls else None
        self._made = 0

    def connect(self) -> Connection:
        """Raises OSError: no such host, refused, too slow, a certificate that is not accepted."""
        if self._tls is None:
            return self.connect_plain(PlainConnection)
        sock = self._connected()
        try:
            sock = self._tls.wrap_socket(sock, server_hostname=self._url.host)
            sock.settimeout(None)  # from here on the call's deadline rules
            return TlsConnection(sock, self._reader())
        except BaseException:
            sock.close()
            raise

    def connect_plain(self, make: type[Made]) -> Made:
        """A connection over TCP, of the class ``make``.  Raises OSError."""
        sock = self._connected()
        native = _socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
        native.setblocking(False)
        return make(native, self._reader())

    def _connected(self) -> Any:
        """A socket to the proxy where there is one, else to one of the name's addresses, in turns."""
        to = self._proxy or self._url
        found = gevent.socket.getaddrinfo(to.host, to.port, 0, socket.SOCK_STREAM)
        self._made += 1
        for number in range(len(found)):
            address = found[(self._made + number) % len(found)][4]
            try:
                sock = gevent.socket.create_connection(address[:2], timeout=self._timeout_s)
                break
            except OSError:
                if number == len(found) - 1:
                    raise
        # A request larger than one segment must not wait for the acknowledgement of its first.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._proxy is not None and self._url.tls:
            self._tunnel(sock)
        return sock

    def _tunnel(self, sock: Any) -> None:
        """Ask the proxy for a way through (RFC 9110, section 9.3.6).  Raises OSError."""
        place = f"{self._url.host}:{self._url.port}"
        sock.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
        said = b""
        while b"\r\n\r\n" not in said and len(said) < READ_BLOCK_BYTES:
            block = sock.recv(1)  # not a byte of what comes after
            if not block:
                break
            said += block
        if said.split(b" ")[1:2] != [b"200"]:
            sock.close()
            raise OSError(
                f"the proxy does not let us through: {said[:60].decode('ascii', 'replace').strip()}"
            )

    def _reader(self) -> AnswerReader:
        return AnswerReader(self._limit_bytes, self.heads)


def _tls_context(ca_file: str, door: FrontDoor) -> Any:
    """The system's authorities, or certifi's where it has none, or only those of ``ca_file``."""
    system = ssl.get_default_verify_paths()
    context = gevent.ssl.create_default_context(cafile=ca_file or system.cafile or certifi.where())
    if door.certificate:
        try:
            context.load_cert_chain(door.certificate, door.key or None)
        except ssl.SSLError as error:
            key = door.key or "(in the same file)"
            reason = error.reason or str(error)
            raise UsageError(f"certificate {door.certificate} and key {key} do not fit: {reason}") from None
        except OSError as error:
            files = f"{door.certificate}{', ' + door.key if door.key else ''}"
            raise UsageError(f"certificate: {files} cannot be read: {error.strerror}") from None
    return context


def affordable_connections() -> int:
    """Connections for each pool, within the files that this process may open.

    There are four: of lanes and of the full client, to two targets.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, (soft - KEPT_FILES) // 4)


def lifetime_s(number: int, max_age_s: float) -> float:
    """How long the connection of this number may serve: within a quarter of ``max_age_s``, all different."""
    return max_age_s * (0.75 + 0.5 * (number * GOLDEN_RATIO % 1.0))


class Pool:
    """At most ``size`` connections; callers block while all are in use.

    A connection is replaced when it is about ``max_age_s`` old, at a moment of its own.
    """

    def __init__(self, connect: Callable[[], Connection], size: int, max_age_s: float = math.inf) -> None:
        self.size = min(size, MAX_CONNECTIONS, affordable_connections())
        self._max_age_s = max_age_s
        self._made = 0
        self._connect = connect
        self._places = BoundedSemaphore(self.size)
        self._resting: list[Connection] = []
        self._closed = False

    def take(self) -> Connection:
        """A connection for one request.  Raises OSError, and RuntimeError once closed."""
        self._places.acquire()
        try:
            if self._closed:
                raise RuntimeError("connection pool closed")
            while self._resting:
                connection = self._resting.pop()
                if connection.usable():
                    return connection
                connection.close()
            connection = self._connect()
            self._made += 1
            connection.ends_s = time.monotonic() + lifetime_s(self._made, self._max_age_s)
            return connection
        except BaseException:
            self._places.release()
            raise

    def give_back(self, connection: Connection, reusable: bool) -> None:
        """Rest the connection, or close it."""
        if reusable and not self._closed:
            connection.rest()
            self._resting.append(connection)
        else:
            connection.close()
        self._places.release()

    def forget_idle(self) -> None:
        """Close every resting connection."""
        while self._resting:
            self._resting.pop().close()

    def close(self) -> None:
        """Close what rests now, and everything else when it is given back."""
        self._closed = True
        self.forget_idle()


# -- The HTTP/1.1 client: as little work per call as the protocol allows ----------------------------
#
# A load generator's own cost is load the target never sees.  Compared with a general client
# there are no cookies, no URL objects, no header dictionaries and no timer per call; request
# heads are kept ready, connections are raw sockets that stay with their parser and their
# watcher.  What a call means (what is retried, what is never sent twice, how errors read) is
# decided in http/client.py, and a corpus of odd servers checks it against another client.


class HttpTransport(HttpCalls):
    """Calls one base address.  Raises UsageError for an address or token that cannot work."""

    def _open(self, concurrency: int, connect_timeout_s: float, ca_file: str) -> None:
        self.connector = Connector(
            self._url,
            timeout_s=connect_timeout_s,
            limit_bytes=self._max_answer_bytes,
            ca_file=ca_file,
            door=self.door,
        )
        self._pool = Pool(self.connector.connect, concurrency, self.max_age_s)

    def close(self) -> None:
        self._pool.close()

    def _forget_idle(self) -> None:
        self._pool.forget_idle()

    def _attempt(self, method: str, data: bytes, progress: Progress) -> Answer:
        progress.attempts += 1
        try:
            connection = self._pool.take()
        except (OSError, RuntimeError) as error:
            raise NoAnswer(describe(error), limit=local_limit(error)) from error
        connection.reader.expect(method == "HEAD")
        try:
            connection.write(data, progress)
            return connection.answer(progress)
        finally:
            # Also when the caller is killed or out of time: an answer half read is never reusable.
            self._pool.give_back(connection, connection.reader.reusable)
