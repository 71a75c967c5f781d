"""Samples of the fixed interfaces: what a user, a pod, AWS or another version of Isthmus depends on.

The files in `samples/` say how each interface is. `python -m tests.fixed_interfaces` compares, `--write` writes.
"""
