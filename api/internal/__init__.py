"""What workers and api tell each other over HTTP."""
