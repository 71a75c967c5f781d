"""A local Pulumi engine, Kubernetes clusters and AWS, for development and tests. The entry point is `sandbox.api`."""
