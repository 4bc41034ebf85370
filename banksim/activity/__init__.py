"""What honest customers do."""

from banksim.activity.activity import Activity
from banksim.activity.onboarding import Joining, OnboardingPlan
from banksim.activity.trips import Trip, Trips

__all__ = ["Activity", "Joining", "OnboardingPlan", "Trip", "Trips"]
