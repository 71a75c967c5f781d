"""Rules for providers: each leads to a cluster or account of the platform, and no object is defined twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.contracts.platform.model.platform import Platform, Site
from isthmus.graph.resources.resources import Resource, name_and_namespace
from isthmus.graph.resources.sites import (
    KUBERNETES_PROVIDER,
    cluster_urns,
    provider_of,
    site_of_provider,
)
from policies.inputs.class_scope import has_classified_work
from policies.inputs.values import at, is_unknown, list_or_empty
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_AWS_PROVIDER = "pulumi:providers:aws"
_KUBECONFIG = "${KUBECONFIG}"
"""The variable in a rendering; a preview has the path in it."""
_OTHER_CLUSTER_INPUTS = {
    "cluster": "takes another cluster of the kubeconfig",
    "renderYamlToDirectory": "writes its objects into files, so that no cluster has their guards",
}
_CLUSTER_INPUTS = frozenset(
    {"clusterIdentifier", "context", "enableServerSideApply", "kubeconfig", "kubeClientSettings", "namespace"}
    | {"deleteUnreachable", "skipUpdateUnreachable", "version", "pluginDownloadURL"}
    | {"enableConfigMapMutable", "enableSecretMutable", "helmReleaseSettings"}
    | {"suppressDeprecationWarnings", "suppressHelmHookWarnings", "strictMode"}
)
_OTHER_ACCOUNT_INPUTS = {
    "endpoints": "sends its calls, and the data in them, to addresses of its own",
    "profile": "takes the credentials of a profile",
    "assumeRole": "assumes a role in the old form of the input",
    "assumeRoleWithWebIdentity": "assumes a role by a token from elsewhere",
    "sharedConfigFiles": "reads its settings from files of its own",
    "sharedCredentialsFiles": "takes credentials from files of its own",
    "httpProxy": "sends its calls, and the data in them, through a proxy",
    "httpsProxy": "sends its calls, and the data in them, through a proxy",
    "customCaBundle": "accepts the certificates of another authority from AWS",
    "insecure": "accepts any certificate from AWS",
    "ec2MetadataServiceEndpoint": "takes credentials from an address of its own",
    "forbiddenAccountIds": "names accounts beside the site's",
}
_SANDBOX_INPUTS = frozenset({"accessKey", "secretKey", "s3UsePathStyle", "skipRequestingAccountId"})
_ACCOUNT_INPUTS = frozenset(
    {"region", "defaultTags", "allowedAccountIds", "assumeRoles", "ignoreTags", "maxRetries", "retryMode"}
    # The SDK itself sets the first of these; they leave out a check at the start, and lead nowhere.
    | {"skipRegionValidation", "skipCredentialsValidation", "skipMetadataApiCheck"}
    | {
        "useDualstackEndpoint",
        "useFipsEndpoint",
        "version",
        "pluginDownloadURL",
        "tokenBucketRateLimiterCapacity",
    }
    | {"s3UsEast1RegionalEndpoint", "stsRegion", "noProxy"}
)
_BELONGS_TO_NOBODY = ("Patch", "List")
"""Ends of kinds that do not define the object that they name."""


# --- Where providers lead


def _judged_providers(subject: Subject) -> Iterator[Resource]:
    """Providers of clusters, and those of the sites' accounts, in a stack with data of a class above public."""
    if subject.platform is None or not has_classified_work(subject):
        return
    for provider in subject.graph.not_made:
        is_of_site = site_of_provider(provider, subject.platform) is not None
        if provider.type == KUBERNETES_PROVIDER or (provider.type == _AWS_PROVIDER and is_of_site):
            yield provider


def _check_providers(subject: Subject) -> Iterator[Violation]:
    platform = subject.platform
    providers = list(_judged_providers(subject))
    clusters = cluster_urns(
        (provider for provider in providers if provider.type == KUBERNETES_PROVIDER), platform
    )
    for provider in providers:
        site = site_of_provider(provider, platform)
        if platform is None:
            continue
        if site is None:
            yield from _foreign_cluster(provider, clusters, platform)
        elif provider.type == _AWS_PROVIDER:
            yield from _check_account(provider, site, platform)
        else:
            yield from _check_cluster(subject, provider, site)


def _foreign_cluster(
    provider: Resource, clusters: Mapping[str, str], platform: Platform
) -> Iterator[Violation]:
    if clusters.get(provider.urn):
        return
    context = provider.inputs.get("context")
    contexts = sorted({site.kube_context for site in platform.sites if site.kube_context})
    if context and context in contexts and not provider.inputs.get("kubeconfig"):
        return
    yield Violation(
        f"provider {provider.name} leads to context {context or 'none'} of a kubeconfig that no site has; the sites'"
        f" contexts are {', '.join(contexts) or 'none'}. Its objects may be in a cluster with classified work, where"
        " they would replace its guards",
        provider,
        "undecided",
    )


def _check_cluster(subject: Subject, provider: Resource, site: Site) -> Iterator[Violation]:
    inputs = provider.inputs
    expected = {"clusterIdentifier": site.name}
    if site.kind == "on-prem" or site.kube_context:
        expected["context"] = site.kube_context or ""
    for key, value in expected.items():
        given = inputs.get(key)
        # A program of a team may leave the identifier out.
        if given != value and not (key == "clusterIdentifier" and given is None):
            yield _difference(provider, site, key, given, value)
    kubeconfig = str(inputs.get("kubeconfig") or "")
    if site.kind == "on-prem" and kubeconfig not in ("", _KUBECONFIG) and not kubeconfig.startswith("/"):
        yield Violation(
            f"provider {provider.name} does not use the kubeconfig of whoever runs it, but one of its own, so that"
            f" the work of site {site.name} may go to another cluster",
            provider,
            "undecided" if is_unknown(kubeconfig) else "violated",
        )
    elif site.kind == "aws" and not site.kube_context:
        yield from _check_server(subject, provider, site, kubeconfig)
    yield from _check_keys(provider, site, _OTHER_CLUSTER_INPUTS, _CLUSTER_INPUTS)


def _check_server(subject: Subject, provider: Resource, site: Site, kubeconfig: str) -> Iterator[Violation]:
    """A kubeconfig of a cluster that the stack makes names this cluster's address."""
    servers = [at(entry, "cluster.server") for entry in list_or_empty(at(_parsed(kubeconfig), "clusters"))]
    for server in servers or [kubeconfig]:
        if subject.graph.referred(str(server), "aws:eks/cluster:Cluster"):
            continue
        is_of_eks = str(server).endswith(
            (f".{site.region}.eks.amazonaws.com", f".{site.region}.eks.amazonaws.eu")
        )
        if is_unknown(server) or not is_of_eks:
            yield Violation(
                f"provider {provider.name} sends the work of site {site.name} to a server that is not known to be the"
                " stack's own cluster",
                provider,
                "undecided",
            )


def _check_account(provider: Resource, site: Site, platform: Platform) -> Iterator[Violation]:
    inputs = {key: _parsed(value) for key, value in provider.inputs.items()}
    is_sandbox = inputs.get("accessKey") is not None and (
        platform.lifecycle == "disposable" or _is_of_durable_sandbox(inputs, site)
    )
    if inputs.get("region") != site.region:
        yield _difference(provider, site, "region", inputs.get("region"), site.region)
    accounts = [str(account) for account in list_or_empty(inputs.get("allowedAccountIds"))]
    expected = [site.account_id] if site.account_id else []
    if accounts != expected and not (is_sandbox and not accounts):
        yield _difference(provider, site, "allowedAccountIds", accounts or None, site.account_id)
    roles = [at(role, "roleArn") for role in list_or_empty(inputs.get("assumeRoles"))]
    if inputs.get("assumeRoles") and not isinstance(inputs["assumeRoles"], list):
        roles = [inputs["assumeRoles"]]
    if roles != ([site.assume_role] if site.assume_role else []):
        yield _difference(provider, site, "assumeRoles", roles or None, site.assume_role)
    known = _ACCOUNT_INPUTS | (_SANDBOX_INPUTS if is_sandbox else frozenset())
    yield from _check_keys(provider, site, _OTHER_ACCOUNT_INPUTS, known)


def _is_of_durable_sandbox(inputs: Mapping[str, Any], site: Site) -> bool:
    """Whether a provider has all that the sandbox's has, at a site without an account: keys are masked here."""
    return site.account_id is None and all(
        _parsed(inputs.get(key)) is True for key in ("s3UsePathStyle", "skipRequestingAccountId")
    )


def _check_keys(
    provider: Resource, site: Site, forbidden: Mapping[str, str], known: frozenset[str]
) -> Iterator[Violation]:
    for key, value in sorted(provider.inputs.items()):
        if _parsed(value) in (None, "", [], {}, False) or key in known:
            continue
        effect = forbidden.get(key, "is set, and Isthmus does not know where it leads")
        yield Violation(
            f"provider {provider.name} of site {site.name}, whose work is classified, {effect} ({key})"
            if key in forbidden
            else f"{key} of provider {provider.name} of site {site.name} {effect}",
            provider,
            "violated" if key in forbidden else "undecided",
        )


def _difference(provider: Resource, site: Site, key: str, given: Any, expected: Any) -> Violation:
    return Violation(
        f"provider {provider.name} {f'has {key} {given}' if given else f'lacks {key}'}, and the platform states"
        f" {expected or 'no such value'} for site {site.name}: the site's classified work would go to another place",
        provider,
        "undecided" if is_unknown(given) else "violated",
    )


def _parsed(value: Any) -> Any:
    """An input of a provider, which the engine passes as JSON text."""
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in "[{tf" else value
    except ValueError:
        return value


# --- One definition of an object


def _check_definitions(subject: Subject) -> Iterator[Violation]:
    if not has_classified_work(subject):
        return
    seen: dict[tuple[str, str, str, str], list[Resource]] = {}
    for resource in subject.graph.resources:
        key = _identity(resource)
        if key is None:
            continue
        for other in seen.setdefault(key, []):
            if provider_of(other) == provider_of(resource) or "" in (
                provider_of(other),
                provider_of(resource),
            ):
                _, kind, namespace, name = key
                place = f" in {namespace}" if namespace else ""
                yield Violation(
                    f"{other.name} and {resource.name} both define {kind} {name}{place} of one cluster: the later one"
                    " replaces the earlier one, and with it what guards classified work",
                    resource,
                )
        seen[key].append(resource)


def _identity(resource: Resource) -> tuple[str, str, str, str] | None:
    """API group, kind, namespace and name of an object; None where they are not known or it defines none."""
    if not resource.type.startswith("kubernetes:") or not at(resource.inputs, "metadata.name"):
        return None
    _, version, kind = (*resource.type.split(":"), "", "")[:3]
    name, namespace = name_and_namespace(resource)
    if kind.endswith(_BELONGS_TO_NOBODY) or is_unknown(name) or is_unknown(namespace):
        return None
    stated = at(resource.inputs, "metadata.namespace")
    return version.partition("/")[0], kind, str(stated or "default"), name


_CONTROLS = (*fw.nist("AC-4", "CM-3", "SC-7"), *fw.iso_27001("A.8.9", "A.8.22"), *fw.dora("Art. 9(4)(b)"))
RULES = (
    Rule(
        "data-path/known-providers",
        "Providers lead to the clusters and accounts that the platform states",
        "critical",
        _CONTROLS,
        "The same program puts classified work, or weaker guards, into another cluster or account",
        "Create providers by `stacks/providers.py`; whoever answers for the platform states a new site",
        _check_providers,
        applies_to=_judged_providers,
    ),
    Rule(
        "data-path/one-definition",
        "An object of a cluster is defined once",
        "critical",
        _CONTROLS,
        "Rules judge each definition by itself, and the cluster keeps the one that is applied last",
        "Remove the second definition, and change the object in the component that creates it",
        _check_definitions,
        applies_to=lambda subject: (
            resource
            for resource in subject.graph.resources
            if has_classified_work(subject) and _identity(resource)
        ),
    ),
)
