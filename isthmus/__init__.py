"""Isthmus: an enterprise LLM from pilot to production, as infrastructure code on Pulumi."""

__version__ = "0.1.0"
