"""One explicit provider a site. Their inputs are the same wherever and whenever the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.core import aws_session

if TYPE_CHECKING:
    import pulumi

    from components.aws.eks.mapping import ClusterAccess
    from isthmus.contracts.platform.model.platform import Site


def kubernetes(site: Site, kubeconfig: str) -> pulumi.ProviderResource:
    """The cluster of a site, by its context in the kubeconfig at that path."""
    return _kubernetes(site, kubeconfig=kubeconfig, context=site.kube_context)


def eks(site: Site, cluster: ClusterAccess) -> pulumi.ProviderResource:
    """The cluster that the stack itself makes at an AWS site: its address is known once it is made.

    Credentials are no part of it: whoever runs `pulumi` asks EKS for a token (`aws eks get-token`) as who they
    are, or as the role by which they work in the site's account.
    """
    return _kubernetes(site, kubeconfig=kubeconfig(site, cluster))


def kubeconfig(site: Site, cluster: ClusterAccess) -> pulumi.Output[str]:
    """A kubeconfig with one context, as JSON. Nothing in it is secret."""
    import pulumi

    command = [
        "eks",
        "get-token",
        "--output",
        "json",
        "--region",
        site.region,
        "--cluster-name",
        cluster.name,
    ]
    as_whom: list[Any] = ["--role-arn", site.assume_role] if site.assume_role else []
    token = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": [*command, *as_whom],
        "interactiveMode": "Never",
    }
    name = site.name
    access = {"server": cluster.endpoint, "certificate-authority-data": cluster.certificate_authority}
    return pulumi.Output.json_dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": access}],
            "users": [{"name": name, "user": {"exec": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def _kubernetes(site: Site, **how: Any) -> pulumi.ProviderResource:
    import pulumi_kubernetes

    return pulumi_kubernetes.Provider(
        # As the AWS provider of the same site: what is made there says by either in what site it stands.
        site.name,
        # The site is the cluster: another port, address or way to the same one replaces nothing.
        cluster_identifier=site.name,
        enable_server_side_apply=True,
        **how,
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
        key, secret = aws_session.SANDBOX_KEYS
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
