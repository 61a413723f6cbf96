"""End users: people in somebody's own application, who get short-lived tokens of their own."""
