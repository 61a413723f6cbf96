"""Connections to carriers and PBXs."""
