"""Creates one explicit provider for each site. Its inputs do not depend on where and when the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.core import aws_session

if TYPE_CHECKING:
    import pulumi

    from components.aws.eks.mapping import ClusterAccess
    from isthmus.contracts.platform.model.platform import Site


def kubernetes(site: Site, kubeconfig: str) -> pulumi.ProviderResource:
    """The provider of a site's cluster, by its context in the kubeconfig at that path."""
    return _kubernetes(site, kubeconfig=kubeconfig, context=site.kube_context)


def eks(site: Site, cluster: ClusterAccess) -> pulumi.ProviderResource:
    """The provider of a cluster that the stack creates at an AWS site; its address is known after its creation.

    It contains no credentials: the caller of `pulumi` gets a token from EKS (`aws eks get-token`) with its own
    identity, or with the role for the site's account.
    """
    return _kubernetes(site, kubeconfig=kubeconfig(site, cluster))


def kubeconfig(site: Site, cluster: ClusterAccess) -> pulumi.Output[str]:
    """A kubeconfig with one context, as JSON. It contains no secret."""
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
        # Named like the site's AWS provider, so that a resource of either shows its site.
        site.name,
        # The site identifies the cluster: another port, address or route to it replaces nothing.
        cluster_identifier=site.name,
        enable_server_side_apply=True,
        **how,
    )


def aws(site: Site, tags: dict[str, str], *, sandbox: bool) -> pulumi.ProviderResource:
    """The provider of an AWS site's account and region.

    A sandbox's provider has dummy keys in its inputs, which the state keeps: no AWS account accepts them, also not
    under `pulumi destroy`, which does not run the program. The address is the variable AWS_ENDPOINT_URL rather than an
    input, because it changes with every `sandbox up`, and inputs must not.
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
        # If the credentials are of another account, the site's role is assumed for every call.
        # Use the class, not a dict: the provider would get the names of a dict as they are written here.
        role = pulumi_aws.ProviderAssumeRoleArgs(
            role_arn=site.assume_role, session_name="isthmus", external_id=site.external_id
        )
        arguments["assume_roles"] = [role]
    return pulumi_aws.Provider(site.name, **arguments)
