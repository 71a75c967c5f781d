"""Reads bills of AWS and compares them with the usage of a stack."""
