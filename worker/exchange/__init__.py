"""Phones: SIP, and the processes it hands calls to."""
