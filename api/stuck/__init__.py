"""What failed again and again: tried again with pauses, given up loudly, begun anew by an administrator."""
