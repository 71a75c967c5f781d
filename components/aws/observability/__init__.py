"""Alarms on what serves callers in AWS."""
