"""Runs what a stack's manifests render as processes of this machine: `isthmus sandbox serve STACK`."""
