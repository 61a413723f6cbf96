"""Why a line ends. Light: whoever only passes it on need not load what a line is made of."""

from typing import Literal

HangUpCause = Literal["user_hangup", "line_lost", "nobody_came"]
