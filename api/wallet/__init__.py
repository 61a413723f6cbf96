"""Money: what owners have, what calls cost them, and a book that proves both."""
