"""Who is told when an agent's call or chat is over: by a webhook or a letter."""
