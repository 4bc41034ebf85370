"""When things happen: rates, the clock, arrivals.  Pure; time is passed in."""
