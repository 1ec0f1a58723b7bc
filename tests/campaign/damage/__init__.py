"""Catalogs that are damaged."""
