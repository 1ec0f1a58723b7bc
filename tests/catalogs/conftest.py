"""Which files of tests are for which systems."""

import sys

# healpy, which the hipscat library needs, has no wheels for Windows.
collect_ignore = ["test_hipscat.py"] if sys.platform == "win32" else []
