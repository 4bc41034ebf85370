"""What genuine customers do."""

from banksim.activity.journeys import Trip, Trips
from banksim.activity.payments import Chance, Draft, payment
from banksim.activity.planner import Activity, Joining, OnboardingPlan
