"""Checks of margin catalogs, and summaries of any catalog."""
