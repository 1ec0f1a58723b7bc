"""Pixels and positions as numpy arrays."""
