"""One protocol, and its adapters, for each service outside of us."""
