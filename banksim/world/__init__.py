"""Who and what exists: customers, personas, merchants, places, and streams of chance."""

from banksim.world.merchants import MerchantDirectory
from banksim.world.persona import TIER_LIMIT_UNITS, Persona, load_personas
from banksim.world.places import City, Places, distance_km, near
from banksim.world.population import AccountSpec, Address, Customer, Population, World, WorldScenario
from banksim.world.random import Choice, LogNormal, opaque_id, stream, stream_key, unit_scale
