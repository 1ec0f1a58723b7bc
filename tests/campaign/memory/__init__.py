"""What a run holds in memory."""
