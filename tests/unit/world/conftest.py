"""A small world for the tests of this folder."""

from __future__ import annotations

import pytest

from banksim.world import World
from tests.unit.world.scenarios import WorldSettings


@pytest.fixture(scope="session")
def world() -> World:
    return World.from_scenario(WorldSettings(customers=400, accounts_per_customer=2), seed=7)
