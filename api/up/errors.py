"""What keeps this machine from running, said in one sentence."""

import click


class CannotStart(click.ClickException):
    """One sentence: what is wrong and what to do. Printed without a traceback; the exit code is 1."""

    def format_message(self) -> str:
        """The sentence as it is."""
        return self.message
