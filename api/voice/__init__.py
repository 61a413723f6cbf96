"""Voice: tokens for talking to an agent from a browser or an app."""
