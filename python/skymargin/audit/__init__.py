"""The rooms of the audit: what `skymargin.verify` and `skymargin.info` compare, and how."""
