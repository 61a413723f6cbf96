"""What a call talks over."""
