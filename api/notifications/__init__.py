"""Who is told when an agent's call or chat is over: by a webhook, a letter or a text message."""
