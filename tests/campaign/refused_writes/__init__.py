"""Disks that are full, and writes that are refused."""
