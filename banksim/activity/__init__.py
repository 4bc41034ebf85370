"""What honest customers do."""

from banksim.activity.drafts import Draft
from banksim.activity.habits import Trip, Trips
from banksim.activity.onboarding import Joining, OnboardingPlan
from banksim.activity.payments import Chance, payment
from banksim.activity.planner import Activity

__all__ = ["Activity", "Chance", "Draft", "Joining", "OnboardingPlan", "Trip", "Trips", "payment"]
