"""What honest customers do."""

from banksim.activity.activity import Activity
from banksim.activity.drafts import Draft
from banksim.activity.onboarding import Joining, OnboardingPlan
from banksim.activity.payments import Chance, payment
from banksim.activity.trips import Trip, Trips

__all__ = ["Activity", "Chance", "Draft", "Joining", "OnboardingPlan", "Trip", "Trips", "payment"]
