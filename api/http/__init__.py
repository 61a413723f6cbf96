"""HTTP as every resource speaks it: typed routes, errors, callers, limits."""
