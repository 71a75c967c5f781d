"""The people of a platform at one site: who may do what there, from the contract."""

from typing import Any

import pulumi

from components.aws.identity.mapping import bounded, tags
from components.serving.mapping import classes_at
from isthmus.contracts.platform.model.emergency_access import Access
from isthmus.contracts.platform.model.platform import Platform, Site
from isthmus.contracts.vocabulary import VLLM_TARGETS


def cluster_roles_args(platform: Platform, site: Site) -> dict[str, Any] | None:
    """Of `ClusterRoles`; None where nobody has a role."""
    if platform.people is None:
        return None
    return {
        "members": [
            each.model_dump(include={"role", "groups", "classes"}) for each in platform.people.members
        ],
        "classes": [
            {
                "sensitivity": held,
                "models": sorted(
                    each.id
                    for each in platform.endpoints
                    if each.class_ == held and each.site == site.name and each.target in VLLM_TARGETS
                ),
                "gateway": f"{held}-gateway"
                if any(
                    one.class_ == held and one.site == site.name and one.runs_on == "kubernetes"
                    for one in platform.gateways
                )
                else "",
            }
            for held in classes_at(platform, site)
        ],
    }


def make_cluster(
    name: str,
    platform: Platform,
    site: Site,
    accesses: list[Access],
    spaces: dict[str, pulumi.Resource],
    options: pulumi.ResourceOptions,
) -> None:
    """Roles and emergency access in a cluster, once the classes' namespaces are there."""
    args: Any = cluster_roles_args(platform, site)
    if args is None or platform.people is None:
        return
    from components.governance.cluster_roles import ClusterRoles

    after = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=list(spaces.values())))
    ClusterRoles(f"{name}-people", args, after)
    if platform.people.break_glass is not None:
        from components.governance.emergency_access import EmergencyAccesses

        given: Any = [
            {
                "id": each.id,
                "sensitivity": each.class_,
                "requester": each.requester,
                "approver": each.approver,
                "reason": each.reason,
                "until": each.until.isoformat(),
            }
            for each in accesses
            if each.site == site.name and each.class_ in spaces
        ]
        EmergencyAccesses(f"{name}-break-glass", {"accesses": given, "image": platform.images.edge}, after)


def make_account(
    name: str,
    platform: Platform,
    site: Site,
    records: dict[str, pulumi.Input[str]],
    options: pulumi.ResourceOptions,
) -> pulumi.Output[dict[str, str]] | None:
    """Roles in an AWS site's account; None where nobody may take one."""
    people = platform.people
    if people is None or not (people.saml_provider or any(each.permission_sets for each in people.members)):
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
            each.model_dump(include={"role", "permission_sets"})
            for each in people.members
            if each.role != "application"
        ],
        **({"saml_provider": people.saml_provider} if people.saml_provider else {}),
        "records": records,
        **bounded(site),
        "tags": tags(platform),
    }
    return AwsRoles(f"{name}-people", args, options).arns
