"""Sound in packets: what a phone line is made of, each part without a socket and without a clock."""
