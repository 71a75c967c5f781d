"""Asks an AWS account through the stack's provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pulumi

    from isthmus.contracts.platform.model.platform import Site


@dataclass(frozen=True)
class Asked:
    """A site, and how its account is asked."""

    site: Site
    provider: pulumi.ProviderResource

    @property
    def options(self) -> pulumi.InvokeOptions:
        import pulumi

        return pulumi.InvokeOptions(provider=self.provider)


def quota(account: Asked, name: str, region: str, service: str = "bedrock") -> float | None:
    """A quota by its name; None where AWS knows none of that name."""
    from pulumi_aws import servicequotas

    try:
        return servicequotas.get_service_quota(
            service_code=service, quota_name=name, region=region, opts=account.options
        ).value
    except Exception:  # noqa: BLE001  whatever the provider's words are: the caller says what is not known
        return None
