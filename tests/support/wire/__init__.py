"""The vendors' wire protocols, spoken strictly: what they would refuse is refused, and remembered."""
