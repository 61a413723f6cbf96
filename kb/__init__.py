"""Knowledge: documents in, ranked passages out. A pure library."""
