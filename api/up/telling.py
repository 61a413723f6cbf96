"""What `call2me up` tells whoever started it, once a call could be answered."""

import os
import stat
from collections.abc import Callable

import click

from api.settings import Settings
from api.up import status
from api.up.command import spelled
from api.up.first_start import Prepared


def is_kept() -> bool:
    """Whether what is printed goes into systemd's journal, which is kept and which others may read."""
    try:
        return stat.S_ISSOCK(os.fstat(1).st_mode)  # a terminal, a file or a pipe is somebody's own doing
    except OSError:
        return False


def tell(
    settings: Settings, prepared: Prepared, seconds: float, say: Callable[[str], None], *, is_kept: bool
) -> None:
    """Where to go, and what is shown once. No credential is written where it would be kept."""
    say(f"\nReady to talk after {seconds:.1f} s.\n")
    if is_kept or settings.log.format == "json":
        say(f"  Open        {settings.public_url}")
        say(f"  Sign in     `{spelled('user link')}` prints a link that does it once; logs are told none")
    else:
        say(f"  Open        {click.style(status.sign_in_address(settings, prepared.link), bold=True)}")
        say(f"              signs you in once, within the hour; `{spelled('user link')}` makes another")
        if prepared.owner is not None:
            say(f"  Login       {prepared.owner.email}")
            say(f"  Password    {prepared.owner.password}")
            say(f"  API key     {prepared.owner.api_key}")
            say("              both are shown only now: keep them")
    say(f"  API         {settings.public_url}/docs")
    say(f"  Logs        {settings.logs}")
    say("  Stop        Ctrl-C\n")
