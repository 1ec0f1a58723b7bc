"""The same bytes, whatever is varied."""
