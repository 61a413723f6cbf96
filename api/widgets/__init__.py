"""Widgets: an agent on somebody else's page, and on a page of its own."""
