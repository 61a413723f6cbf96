"""What is kept for as long as a process lives is kept out of the collector's way."""

import gc


def settle() -> None:
    """Call once, when everything is loaded and no call has begun.

    A full collection looks at every object there is: with LiveKit loaded that holds the event loop, and all
    the process's calls, for a fifth of a second, some minutes into a talk. What is frozen is not looked at
    again, nor copied by a fork.
    """
    gc.collect()
    gc.freeze()
