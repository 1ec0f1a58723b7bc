"""How a catalog lies on disk: names of files, and what makes a folder a catalog."""

from __future__ import annotations

# Without these no reader takes a folder for a catalog; in the order in which they are written.
VALID_BY = ("catalog_info.json", "properties", "hats.properties")
COLLECTION = "collection.properties"
# What a margin of skymargin was made from. The hipscat library takes every file for data whose name does not begin
# like one of those it knows.
RECORD = "_metadata.skymargin.json"
