"""People with numbers: who they are, what they agreed to, who must not be called."""
