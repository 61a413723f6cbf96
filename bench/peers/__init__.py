"""Other people's retrievers, each in an environment of its own: see `bench/knowledge.py`."""
