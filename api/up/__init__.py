"""One command that runs it all on one machine: what it needs, what it starts, how it is doing."""
