"""Many pipelines in one process."""
