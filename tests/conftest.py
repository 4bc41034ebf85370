"""Shared test set-up.  Locust patches the standard library when imported, so it goes first."""

import locust  # noqa: F401
