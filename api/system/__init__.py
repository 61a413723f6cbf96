"""What is asked about this process itself: is it alive, could it answer a call, what does it speak."""
