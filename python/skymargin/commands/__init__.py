"""The commands of `skymargin`, one file for each kind of work."""
