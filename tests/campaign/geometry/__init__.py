"""The core's random tests at full length."""
