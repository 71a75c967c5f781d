"""Plans from measured usage in place of guessed traffic."""
