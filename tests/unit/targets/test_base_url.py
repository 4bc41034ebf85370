"""Addresses: what is accepted, and how it is taken apart."""

from __future__ import annotations

import pytest

from banksim.model import UsageError
from banksim.targets.http.client import BaseUrl


@pytest.mark.parametrize(
    ("text", "host_header", "port", "prefix", "shown"),
    [
        ("http://localhost:8090", "localhost:8090", 8090, "", "http://localhost:8090"),
        (" http://bank ", "bank", 80, "", "http://bank"),
        ("https://bank/", "bank", 443, "", "https://bank"),
        ("https://bank:8443/core/v1/", "bank:8443", 8443, "/core/v1", "https://bank:8443/core/v1"),
        ("http://[::1]:8090", "[::1]:8090", 8090, "", "http://[::1]:8090"),
        ("HTTP://Bank:80", "bank", 80, "", "http://bank"),
    ],
)
def test_accepted(text: str, host_header: str, port: int, prefix: str, shown: str) -> None:
    url = BaseUrl.parse(text)
    assert (url.host_header, url.port, url.prefix, str(url)) == (host_header, port, prefix, shown)
    assert url.tls == shown.startswith("https")


@pytest.mark.parametrize(
    "text",
    [
        "localhost:8090",
        "bank",
        "",
        "ftp://bank",
        "http://",
        "http://bank:99999",
        "http://bank:http",
        "http://[::1",
        "http://me:secret@bank",
        "http://bank/?x=1",
        "http://bank/#x",
        "http://bank/a b",
        "http://bänk",
    ],
)
def test_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="expected an address like http://localhost:8090"):
        BaseUrl.parse(text)
