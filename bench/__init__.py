"""Benchmarks. Each compares figures of one run: `make bench`, or `python -m bench [NAME …]`."""
