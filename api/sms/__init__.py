"""Text messages: agents that answer them on the numbers of a carrier, and messages sent over HTTP."""
