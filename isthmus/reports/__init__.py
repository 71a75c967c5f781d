"""What is said to people about a stack."""
