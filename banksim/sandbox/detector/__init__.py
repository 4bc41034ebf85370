"""The stand-in detector: scores from streaming features, without labels."""
