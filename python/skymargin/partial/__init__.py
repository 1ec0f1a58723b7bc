"""Runs of less than all: the margins in a cone, and those that changes of the catalog have touched."""
