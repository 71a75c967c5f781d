"""Monitoring of the platform's pods."""
