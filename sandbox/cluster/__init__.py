"""Kubernetes clusters of the sandbox: one KWOK cluster for each site, with simulated GPU nodes."""
