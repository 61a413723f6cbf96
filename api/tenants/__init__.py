"""Resellers: an owner, their members, invites, credit and margins."""
