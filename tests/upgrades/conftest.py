"""The sandbox of the other tests, which gives a preview what it looks up: a cluster and an AWS endpoint."""

from tests.sandbox.conftest import sandbox, toolchain

__all__ = ["sandbox", "toolchain"]
