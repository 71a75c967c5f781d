"""What redaction finds, and what time it takes."""
