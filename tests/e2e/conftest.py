"""What tests in a browser stand on."""

from playwright.async_api import expect

expect.set_options(timeout=20_000)
"""Playwright's five seconds are for a page; here a whole house answers, on a machine that is busy."""
