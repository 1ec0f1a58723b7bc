"""The stages of a run: plan, map, reduce, finish."""
