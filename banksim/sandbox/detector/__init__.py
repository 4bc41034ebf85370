"""The stand-in detector: scores from streaming features; knows no labels."""
