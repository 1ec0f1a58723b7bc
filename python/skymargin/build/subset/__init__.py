"""Runs that build only some margins: those in a cone, or those that changes have touched."""
