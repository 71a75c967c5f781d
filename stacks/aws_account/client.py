"""Queries an AWS account through the stack's provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pulumi

    from isthmus.contracts.platform.model.platform import Site


@dataclass(frozen=True)
class Asked:
    """A site, and the options for queries of its account."""

    site: Site
    provider: pulumi.ProviderResource

    @property
    def options(self) -> pulumi.InvokeOptions:
        import pulumi

        return pulumi.InvokeOptions(provider=self.provider)


def quota(account: Asked, name: str, region: str, service: str = "bedrock") -> float | None:
    """The value of a quota by its name; None if AWS has no quota of that name."""
    from pulumi_aws import servicequotas

    try:
        return servicequotas.get_service_quota(
            service_code=service, quota_name=name, region=region, opts=account.options
        ).value
    except Exception:  # noqa: BLE001  the provider raises errors of any type; the caller reports an unknown quota
        return None
