"""Calls that are placed at a time: once, again and again, or when somebody has looked at a request."""
