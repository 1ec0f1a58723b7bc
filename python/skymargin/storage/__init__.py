"""Local and remote paths, and files that appear only when they are complete."""
