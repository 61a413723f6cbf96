"""Durable work: what must happen exactly once, whatever dies in between."""
