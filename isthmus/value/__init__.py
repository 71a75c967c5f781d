"""What workloads cost and what they are worth: ranges, assumptions, and the exit of a pilot."""
