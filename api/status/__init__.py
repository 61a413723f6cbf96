"""How available this installation was, from its own figures."""
