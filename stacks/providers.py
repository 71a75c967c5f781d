"""One explicit provider a site. Their inputs are the same wherever and whenever the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus import aws_session

if TYPE_CHECKING:
    import pulumi

    from isthmus.contracts.platform import Site


def kubernetes(site: Site, kubeconfig: str) -> pulumi.ProviderResource:
    """The cluster of an on-prem site, by its context in the kubeconfig at that path."""
    import pulumi_kubernetes

    return pulumi_kubernetes.Provider(
        site.name,
        kubeconfig=kubeconfig,
        context=site.kube_context,
        # The site is the cluster: another port or address of the same one replaces nothing.
        cluster_identifier=site.name,
        enable_server_side_apply=True,
    )


def aws(site: Site, tags: dict[str, str], *, sandbox: bool) -> pulumi.ProviderResource:
    """The account and region of an AWS site.

    A sandbox's provider has dummy keys among its inputs, which the state keeps: no AWS account accepts
    them, under `pulumi destroy` (which runs no program) neither. The address is not an input but the
    variable AWS_ENDPOINT_URL, which changes with every `sandbox up` while the inputs must not.
    """
    import pulumi_aws

    arguments: dict[str, Any] = {
        "region": site.region,
        "default_tags": pulumi_aws.ProviderDefaultTagsArgs(tags=tags),
    }
    if sandbox:
        key, secret = aws_session.KEYS_OF_THE_SANDBOX
        arguments |= {
            "access_key": key,
            "secret_key": secret,
            "s3_use_path_style": True,
            "skip_credentials_validation": True,
            "skip_metadata_api_check": True,
            "skip_region_validation": True,
            "skip_requesting_account_id": True,
        }
    elif site.account_id:
        arguments["allowed_account_ids"] = [site.account_id]
    if site.assume_role:
        # Another account than the credentials' own: its role is taken for every call.
        # The class, not a dict: a dict's names would reach the provider as they are written here.
        role = pulumi_aws.ProviderAssumeRoleArgs(
            role_arn=site.assume_role, session_name="isthmus", external_id=site.external_id
        )
        arguments["assume_roles"] = [role]
    return pulumi_aws.Provider(site.name, **arguments)
