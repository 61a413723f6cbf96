"""Speech and dialog on this machine, without a key or a network."""
