"""Loads the SDK's modules while the providers' plugins start, because each takes most of a second."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform

MODULES = {
    "aws": (
        *("bedrock", "bedrockmodel", "budgets", "cloudtrail", "cloudwatch", "costexplorer", "ec2"),
        *("ec2transitgateway", "iam", "kms", "rolesanywhere", "route53", "s3", "sns", "vpc"),
    ),
    "on-prem": (
        *("admissionregistration.v1", "apiextensions", "apps.v1", "core.v1", "networking.v1", "policy.v1"),
    ),
}
"""Modules of a whole platform, by the kind of its sites. A test compares them with those of the bank."""
PACKAGES = {"aws": "pulumi_aws", "on-prem": "pulumi_kubernetes"}
_SENT_S = 0.02
"""Time to send the registered resources to the engine, which then starts the plugins."""


def load(platform: Platform) -> None:
    """Let the engine start the registered providers, and load the modules that the components need meanwhile."""
    from pulumi.runtime.sync_await import _sync_await

    _sync_await(asyncio.sleep(_SENT_S))
    kinds = {site.kind for site in platform.sites} | ({"on-prem"} if platform.clusters else set())
    for kind in sorted(kinds):
        for name in MODULES[kind]:
            module = importlib.import_module(f"{PACKAGES[kind]}.{name}")
            # The SDK's modules are lazy: reading an attribute loads them.
            getattr(module, "__all__", None)
