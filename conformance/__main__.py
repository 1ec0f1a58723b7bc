"""Compute the tables anew: `python -m conformance` in the root of the repository. Takes half a minute."""

from conformance.tables import write_tables

if __name__ == "__main__":
    write_tables()
