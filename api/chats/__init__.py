"""Chats: the agents that answer calls, in text."""
