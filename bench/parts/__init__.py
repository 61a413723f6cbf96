"""The parts of a measurement: a caller with a clock, providers that take no time."""
