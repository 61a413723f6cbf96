"""What an account has and used, counted across every resource."""
