"""The command `skymargin`."""
