"""How money comes in from outside. Here that is an administrator's grant (`manual`): no card is taken."""
