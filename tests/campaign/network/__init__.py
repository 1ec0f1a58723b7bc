"""Servers and networks that fail."""
