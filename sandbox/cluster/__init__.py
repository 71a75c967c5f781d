"""Kubernetes for the sandbox: one KWOK cluster per on-prem site, with simulated GPU nodes."""
