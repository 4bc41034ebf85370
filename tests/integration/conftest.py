"""Services that several integration tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import postgres as pg


@pytest.fixture(scope="session")
def postgres() -> Iterator[pg.PostgresServer]:
    """A running PostgreSQL; a test that stops it starts it again."""
    server = pg.PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()
