"""Real services for tests, each started for the tests and stopped after them."""
