"""Many people called by one agent, at a pace, at hours that suit them."""
