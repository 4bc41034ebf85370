"""Thresholds: their grammar, their metrics, and how they are judged."""
