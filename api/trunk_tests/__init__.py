"""Calls that try out a trunk, and what was seen in them in words."""
