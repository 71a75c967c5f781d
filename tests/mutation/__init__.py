"""Faults put into rendered graphs by operators, and what the policies say of them (docs/mutation.md)."""
