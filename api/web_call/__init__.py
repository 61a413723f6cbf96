"""Web calls: somebody in a browser calls one of its owner's numbers, or an agent, by voice alone."""
