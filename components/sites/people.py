"""Creates the roles of people at one site, from the contract."""

from typing import Any

import pulumi

from components.base.platform_lookups import boundary_argument, classes_at, tags
from isthmus.contracts.platform.model.emergency_access import Access
from isthmus.contracts.platform.model.platform import Platform, Site
from isthmus.contracts.vocabulary import VLLM_TARGETS


def cluster_roles_args(platform: Platform, site: Site) -> dict[str, Any] | None:
    """Arguments of `ClusterRoles`. None if nobody has a role."""
    if platform.people is None or not platform.names_roles:
        return None
    return {
        "members": [
            member.model_dump(include={"role", "groups", "classes"}) for member in platform.people.members
        ],
        "classes": [
            {
                "sensitivity": sensitivity,
                "models": sorted(
                    endpoint.id
                    for endpoint in platform.endpoints
                    if endpoint.class_ == sensitivity
                    and endpoint.site == site.name
                    and endpoint.target in VLLM_TARGETS
                ),
                "gateway": f"{sensitivity}-gateway"
                if any(
                    gateway.class_ == sensitivity
                    and gateway.site == site.name
                    and gateway.runs_on == "kubernetes"
                    for gateway in platform.gateways
                )
                else "",
            }
            for sensitivity in classes_at(platform, site)
        ],
    }


def make_cluster(
    name: str,
    platform: Platform,
    site: Site,
    accesses: list[Access],
    namespaces: dict[str, pulumi.Resource],
    options: pulumi.ResourceOptions,
) -> None:
    """Create roles and emergency access in a cluster, after the classes' namespaces."""
    args: Any = cluster_roles_args(platform, site)
    if args is None or platform.people is None:
        return
    from components.governance.cluster_roles import ClusterRoles

    child_opts = pulumi.ResourceOptions.merge(
        options, pulumi.ResourceOptions(depends_on=list(namespaces.values()))
    )
    ClusterRoles(f"{name}-people", args, child_opts)
    if platform.people.break_glass is not None:
        from components.governance.emergency_access import EmergencyAccesses

        access_args: Any = [
            {
                "id": access.id,
                "sensitivity": access.class_,
                "requester": access.requester,
                "approver": access.approver,
                "reason": access.reason,
                "until": access.until.isoformat(),
            }
            for access in accesses
            if access.site == site.name and access.class_ in namespaces
        ]
        EmergencyAccesses(
            f"{name}-break-glass", {"accesses": access_args, "image": platform.images.edge}, child_opts
        )


def make_account(
    name: str,
    platform: Platform,
    site: Site,
    records: dict[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> pulumi.Output[dict[str, str]] | None:
    """Create roles in an AWS site's account. None if nobody may assume one."""
    people = platform.people
    if people is None or not (
        people.saml_provider or any(member.permission_sets for member in people.members)
    ):
        return None
    from pulumi_aws import get_caller_identity_output

    from components.aws.account.roles import AwsRoles

    account: pulumi.Input[str] = site.account_id or ""
    if not account:
        provider = (options.providers or [None])[0]  # type: ignore[index]
        account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(provider=provider)).account_id
    args: Any = {
        "region": site.region or "",
        "account": account,
        "members": [
            member.model_dump(include={"role", "permission_sets"})
            for member in people.members
            if member.role != "application"
        ],
        **({"saml_provider": people.saml_provider} if people.saml_provider else {}),
        "records": records,
        **boundary_argument(site),
        "tags": tags(platform),
    }
    return AwsRoles(f"{name}-people", args, options).arns
