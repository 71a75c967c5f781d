"""The program of every stack, and per stack its settings, requirements and plan."""
