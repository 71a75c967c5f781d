"""Proves that a running stack works: a prompt through each gateway, its record, and what pods cannot reach."""
