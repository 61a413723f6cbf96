"""Calls: what was talked, when, with which agent, and how it ended."""
