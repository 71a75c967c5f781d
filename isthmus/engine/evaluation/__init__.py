"""Runs evaluations: who is asked and how, the environment of Inspect AI, and the runs that go on."""
