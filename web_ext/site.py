"""What the routes of one web UI share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from web_ext.broadcast import Broadcaster
from web_ext.cockpit import Cockpit
from web_ext.guard import Guard
from web_ext.hub import Hub

#: Name of the blueprint, and of the folder of our pages.
NAME: Final = "banksim"

NOT_FOUND: Final = "There is nothing at this address."


@dataclass(frozen=True, slots=True)
class Site:
    cockpit: Cockpit
    hub: Hub
    broadcaster: Broadcaster
    guard: Guard
    base_path: str
