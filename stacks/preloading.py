"""The SDK's modules, loaded while the providers' plugins start: each takes most of a second."""

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
"""What a whole platform needs, by the kind of its sites; a test holds it to what the bank is made of."""
PACKAGES = {"aws": "pulumi_aws", "on-prem": "pulumi_kubernetes"}
_SENT_S = 0.02
"""Time enough for what was registered to be sent to the engine, which starts the plugins."""


def load(platform: Platform) -> None:
    """Send what was registered so far (the providers), and load meanwhile what the components will ask for."""
    from pulumi.runtime.sync_await import _sync_await

    _sync_await(asyncio.sleep(_SENT_S))
    kinds = {site.kind for site in platform.sites} | ({"on-prem"} if platform.clusters else set())
    for kind in sorted(kinds):
        for name in MODULES[kind]:
            module = importlib.import_module(f"{PACKAGES[kind]}.{name}")
            # The SDK gives a lazy module, which loads when it is first looked into.
            getattr(module, "__all__", None)
