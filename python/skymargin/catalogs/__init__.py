"""Catalogs on disk and on object stores, in HATS and HiPSCat format."""
