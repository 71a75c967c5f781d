"""Components that keep the records."""
