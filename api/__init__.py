"""HTTP and durable work."""

__version__ = "0.1.0"
