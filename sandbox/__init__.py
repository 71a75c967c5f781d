"""A local engine, cluster and AWS, for development, demonstration and tests; `sandbox.api` is its door."""
