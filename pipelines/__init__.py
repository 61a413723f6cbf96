"""The conversation: what an agent hears, thinks and says, without knowing who hosts it."""
