"""What we promise to tell others: each event once in the outbox, tried until it arrives, kept in a log."""
