"""The api while it handles texts, killed at one line: `python -m tests.support.texting_api [POINT]`."""

import sys
from collections.abc import Callable
from typing import Any

from api.chats import answering as chat_answering
from api.outside.telnyx_texts import TelnyxTexts
from api.serve import serve
from api.settings import Settings
from api.sms import answering, queues, service, workflows
from tests.support.dying_api import Function, after, at_commit_after, at_request_commit, before

Points = dict[str, tuple[Any, str, Callable[[Function], Function]]]

SENDING: Points = {
    "written and held for, not queued": (queues, "queue_send", before),
    "sent, not noted": (TelnyxTexts, "send", after),
}
"""In the order in which a message comes by them."""
NOTIFYING: Points = {
    "a notification written, not committed": (service, "write", at_request_commit(before)),
}
"""Of the request that ends a chat; it comes again."""
RECEIVING: Points = {
    "kept, the carrier not told": (service, "receive", at_request_commit(after)),
}
"""After which the carrier tells of it again."""
ANSWERING: Points = {
    "in the chat, not thought of": (chat_answering, "begin", at_commit_after),
    "thought of, not written down": (answering, "finish", before),
    "answer written down, not queued": (queues, "queue_send", before),
}


def main(point: str) -> None:
    """Serve, until the point is reached."""
    workflows.OVERDUE_SECONDS = 1.0
    workflows.DELAYS = (0.3,) * 6
    workflows.MOST_TRIES = 100
    if point:
        place, name, how = (SENDING | NOTIFYING | RECEIVING | ANSWERING)[point]
        setattr(place, name, how(getattr(place, name)))
    serve(Settings.load())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
