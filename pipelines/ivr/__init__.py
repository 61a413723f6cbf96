"""Getting through the automated menu of whoever was called, to a person."""
