"""The gateway of a class, and the translator behind it."""
