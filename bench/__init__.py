"""What we measure of ourselves, and beside others."""
