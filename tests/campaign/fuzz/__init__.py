"""Bytes that a fuzzer makes."""
