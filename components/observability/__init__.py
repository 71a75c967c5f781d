"""What is watched, and by whom."""
