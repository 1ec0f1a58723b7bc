"""Benchmarks: the race of skymargin against hats-import and ACID, and how its own time scales.

Run them with ``make bench`` or ``python -m benchmarks``; every catalog is generated here, from a seed.
"""
