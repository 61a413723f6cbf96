"""A prompt written by talking about it: questions, sections, an agent."""
