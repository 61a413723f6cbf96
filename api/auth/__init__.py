"""Signing in: passwords, tokens, one-time links."""
