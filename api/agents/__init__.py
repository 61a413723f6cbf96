"""Agents: configuration that talks."""
