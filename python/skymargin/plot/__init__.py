"""Pictures of partitions with their margins, and of the sky."""
