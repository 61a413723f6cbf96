"""What the first start is furnished with: a demo agent's texts and its function."""
