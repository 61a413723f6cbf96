"""Numbers that agents answer and call from."""
