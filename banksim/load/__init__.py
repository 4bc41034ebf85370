"""Locust: users, load shape, options and the life of a run inside it.

The only folder that imports Locust.  A locustfile needs four names from here.
"""

from banksim.load.session import Session
from banksim.load.users import AcceleratedClockShape, CampaignUser, PersonaUser
