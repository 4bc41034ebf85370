"""The address of a system, taken apart once and checked.

Accepted: ``http://host``, ``https://host:8443/behind/a/prefix/``, IPv6 in brackets.
Not accepted: credentials, a query or a fragment, since they would be dropped silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from banksim.domain import UsageError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Scheme, host (no brackets), port, and the path prefix without its trailing slash."""

    scheme: str
    host: str
    port: int
    prefix: str

    @classmethod
    def parse(cls, text: str) -> BaseUrl:
        """Raises UsageError with what is wrong and an example of what is right."""
        wanted = "expected an address like http://localhost:8090"
        try:
            parts = urlsplit(text.strip())
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{text!r} is not a usable address ({error}): {wanted}") from None
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise UsageError(f"{text!r} is not a usable address: {wanted}")
        if parts.username is not None or parts.query or parts.fragment:
            raise UsageError(f"{text!r} holds a user name, a query or a fragment: {wanted}")
        if not parts.path.isascii() or any(c <= " " for c in parts.path) or not parts.hostname.isascii():
            raise UsageError(f"{text!r} holds characters that no address can: {wanted}")
        return cls(parts.scheme, parts.hostname, port or _DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def host_header(self) -> str:
        """Host for the HTTP header: brackets round IPv6, the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.prefix}"
