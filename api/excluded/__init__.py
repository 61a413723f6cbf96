"""What the contract names and this platform does not do, told plainly."""
