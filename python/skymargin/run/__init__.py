"""What a run keeps while it runs: its folders, locks and records, the margins it is making, and the last move."""
