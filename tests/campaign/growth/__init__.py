"""Time and memory against size."""
