"""Real time: the processes that hold the calls."""
