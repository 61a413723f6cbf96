"""/v1/sip: the phone line as a whole, and callers that somebody else's SIP gateway brings into a room."""
