"""People who sign in, and what is theirs."""
