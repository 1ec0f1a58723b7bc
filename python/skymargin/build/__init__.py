"""Building margin catalogs, from arguments to the finished catalog."""
