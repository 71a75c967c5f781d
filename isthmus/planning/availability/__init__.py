"""Estimates the availability of each workload of a plan, and raises `survive` where that reaches its goal."""
