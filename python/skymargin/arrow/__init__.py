"""Columns in Arrow and numpy, and the types in which rows travel."""
