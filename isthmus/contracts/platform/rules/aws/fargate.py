"""Rules for where gateways run, and for gateways on Fargate. They do not call AWS."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.aws import cluster_at, has_cluster, network_for
from isthmus.contracts.platform.model.aws.fargate import SERVICES, SIZES, Fargate
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform

ECR_IMAGE = re.compile(
    r"([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.(?:com(?:\.cn)?|eu)/([a-z0-9._/-]+?)(?::[^@]*)?@"
)
"""An image in Amazon ECR: account, region, repository."""
_NO_CLUSTER_FIX = (
    "Add a cluster for the site to `clusters`, or set `runs_on: fargate` with `fargate` settings"
)
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){2,}[a-z]{2,63}")


def gateways_have_a_host(platform: Platform) -> None:
    """Gateways run in a cluster, or on Fargate at an AWS site if their class may use AWS."""
    sites = {site.name: site for site in platform.sites}
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "runs_on")
        site = sites[gateway.site]
        if gateway.runs_on == "kubernetes":
            if not has_cluster(platform, site):
                message = f"gateway {gateway.name} runs on Kubernetes, but site {site.name} has no cluster"
                raise FieldError(message, *path, fix=_NO_CLUSTER_FIX)
            _check_kubernetes_gateway(gateway, index)
            continue
        if not handling.may_use_aws(gateway.class_):
            message = (
                f"gateway {gateway.name} of class {gateway.class_} runs on Fargate, but its prompts must not "
                "reach AWS"
            )
            raise FieldError(message, *path, fix="Set `site` to an on-prem site", refused=True)
        if not _may_run_on_fargate(platform, gateway):
            raise FieldError(
                f"gateway {gateway.name} of class {gateway.class_} runs on Fargate, which is for classes that may use "
                "Bedrock",
                *path,
                fix="Use a blueprint whose gateway runs in a cluster, such as cloud-private, or record an exception",
                refused=True,
            )
        if site.kind != "aws":
            message = f"gateway {gateway.name} runs on Fargate, but {site.name} is an on-prem site"
            raise FieldError(message, *path, fix="Set `runs_on: kubernetes`, or set `site` to an AWS site")


def _may_run_on_fargate(platform: Platform, gateway: Gateway) -> bool:
    """Whether the class may use Bedrock, or a recorded exception lets each of the gateway's workloads."""
    granted = {exception.workload for exception in platform.exceptions}
    return "bedrock" in handling.handling_of(gateway.class_).targets or all(
        workload.name in granted for workload in gateway.workloads
    )


def _check_kubernetes_gateway(gateway: Gateway, index: int) -> None:
    if gateway.fargate is not None:
        message = f"gateway {gateway.name} runs on Kubernetes, but has `fargate` settings"
        raise FieldError(
            message, *("gateways", index, "fargate"), fix="Set `runs_on: fargate`, or remove `fargate`"
        )
    for key in ("callers_secret", "certificate_secret"):
        if str(getattr(gateway, key)).startswith("arn:"):
            message = f"gateway {gateway.name} runs on Kubernetes, but its {key} is an AWS secret"
            raise FieldError(
                message, *("gateways", index, key), fix=f"Set `{key}` to a Secret of the class's namespace"
            )


def identities_match_their_hosts(platform: Platform) -> None:
    """The identity of a gateway fits where it runs: `ecs-tasks` on Fargate, other kinds in a cluster."""
    identities = {entry.name: (index, entry) for index, entry in enumerate(platform.identities)}
    for gateway in platform.gateways:
        if gateway.identity is None:
            continue
        number, identity = identities[gateway.identity]
        if (identity.assumed_by == "ecs-tasks") != (gateway.runs_on == "fargate"):
            holders = "ECS tasks only" if identity.assumed_by == "ecs-tasks" else "pods only"
            message = (
                f"gateway {gateway.name} runs on {gateway.runs_on}, but identity {identity.name} is for "
                f"{holders}"
            )
            in_cluster = cluster_at(platform, gateway.site) is not None and identity.site == gateway.site
            assumed_by = "eks-pod-identity" if in_cluster else "roles-anywhere"
            assumed_by = "ecs-tasks" if gateway.runs_on == "fargate" else assumed_by
            raise FieldError(
                message, *("identities", number, "assumed_by"), fix=f"Set `assumed_by: {assumed_by}`"
            )
        if gateway.runs_on == "fargate" and identity.site != gateway.site:
            message = (
                f"gateway {gateway.name} is at {gateway.site}, but its identity {identity.name} is at "
                f"{identity.site}"
            )
            raise FieldError(message, *("identities", number, "site"), fix=f"Set `site: {gateway.site}`")
    for index, identity in enumerate(platform.identities):
        if identity.assumed_by == "ecs-tasks":
            for key in ("trust", "certificate_secret"):
                if getattr(identity, key) is not None:
                    message = f"identity {identity.name} is for ECS tasks, which do not support `{key}`"
                    raise FieldError(message, *("identities", index, key), fix=f"Remove `{key}`")


def fargate_gateways_are_complete(platform: Platform) -> None:
    """A gateway on Fargate has settings, secrets, a DNS name, a network with private endpoints, and ECR images."""
    for index, gateway in enumerate(platform.gateways):
        if gateway.runs_on != "fargate":
            continue
        settings = gateway.fargate
        if settings is None:
            message = f"gateway {gateway.name} runs on Fargate, but has no `fargate` settings"
            raise FieldError(
                message,
                *("gateways", index, "fargate"),
                fix="Add `fargate: {clients: […], translator_secret: …}`",
            )
        _check_gateway_keys(gateway, index)
        _check_memory(settings, index)
        _check_networks(settings, index)
        _check_models(platform, gateway, index)
        _check_network(platform, gateway, index)
        _check_images(platform, gateway)
        _check_log_days(gateway, settings, index)


def _check_gateway_keys(gateway: Gateway, index: int) -> None:
    """Secrets are in Secrets Manager, no key is set that Fargate does not support, and the host is a full DNS name."""
    path = ("gateways", index)
    for key in ("callers_secret", "certificate_secret"):
        if not str(getattr(gateway, key)).startswith("arn:"):
            message = f"gateway {gateway.name} runs on Fargate, but its {key} is not a secret of AWS Secrets Manager"
            raise FieldError(
                message,
                *path,
                key,
                fix="Set it to an ARN: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
            )
    for key in ("proxy", "ca_bundle", "destinations"):
        if getattr(gateway, key):
            message = f"gateway {gateway.name} runs on Fargate, which does not support `{key}`"
            raise FieldError(message, *path, key, fix=f"Remove `{key}`")
    if not _HOST.fullmatch(gateway.host) or len(gateway.host) > 253 or gateway.host.endswith(".svc"):
        message = f"`{gateway.host}` is not a full DNS name in a private zone"
        raise FieldError(
            message, *path, "host", fix="Write it in full, like internal-gateway.llm.bank.example"
        )


def _check_memory(settings: Fargate, index: int) -> None:
    if settings.memory not in SIZES[settings.cpu]:
        minimum, maximum = SIZES[settings.cpu][0], SIZES[settings.cpu][-1]
        message = f"memory is {settings.memory} MiB, which AWS does not offer with {settings.cpu} CPU units"
        raise FieldError(
            message,
            *("gateways", index, "fargate", "memory"),
            fix=f"Set memory from {minimum} to {maximum}, in steps of 1024",
        )


def _check_networks(settings: Fargate, index: int) -> None:
    """Networks of applications and of scrapers are not wider than /8. Those of scrapers are private."""
    networks = {"clients": settings.clients, "scrapers": settings.scrapers}
    for key, texts in networks.items():
        whose = "applications" if key == "clients" else "a Prometheus"
        for number, text in enumerate(texts):
            path = ("gateways", index, "fargate", key, number)
            network = ip_addresses.site_network(text, *path)
            if network.prefixlen < 8:
                raise FieldError(
                    f"`{text}` is too wide for a network of {whose}",
                    *path,
                    fix="List the networks one by one, like 10.60.0.0/16",
                    refused=True,
                )
            # The health port has neither TLS nor keys.
            if key == "scrapers" and not ip_addresses.is_within(text, ip_addresses.INSIDE):
                raise FieldError(
                    f"`{text}` is not a private network, but metrics are served without TLS and keys",
                    *path,
                    fix="Name the Prometheus' private network, like 10.70.4.0/24",
                    refused=True,
                )


def _check_log_days(gateway: Gateway, settings: Fargate, index: int) -> None:
    minimum = handling.handling_of(gateway.class_).records_months_min * 365 // 12
    if settings.log_days < minimum:
        raise FieldError(
            f"{settings.log_days} days, and class {gateway.class_} keeps records {minimum} days",
            *("gateways", index, "fargate", "log_days"),
            fix=f"Set log_days to {minimum} or more",
            refused=True,
        )


def _check_models(platform: Platform, gateway: Gateway, index: int) -> None:
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    for number, workload in enumerate(gateway.workloads):
        for name in workload.endpoint_and_substitutes:
            if targets[name] not in CALLED_TARGETS:
                message = f"gateway {gateway.name} runs on Fargate, but endpoint {name} is a model server in a cluster"
                fix = "Move the workload to a gateway in that cluster"
                raise FieldError(message, *("gateways", index, "workloads", number, "endpoint"), fix=fix)


def _check_network(platform: Platform, gateway: Gateway, index: int) -> None:
    network = network_for(platform, gateway.site, gateway.class_)
    if network is None:
        message = (
            f"no network at {gateway.site} carries class {gateway.class_}, which the tasks of gateway "
            f"{gateway.name} need"
        )
        fix = f"Add class {gateway.class_} to one of `networks` at {gateway.site}"
        raise FieldError(message, *("gateways", index, "site"), fix=fix, refused=True)
    number = platform.networks.index(network)
    missing = [service for service in SERVICES if service not in network.services]
    if missing:
        message = f"network {network.name} has no private endpoint for {' and '.join(missing)}"
        fix = f"Add it to `services`: a gateway on Fargate needs {', '.join(SERVICES)}"
        raise FieldError(message, *("networks", number, "services"), fix=fix)
    if not network.private_dns:
        message = (
            f"network {network.name} has `private_dns: false`, but Fargate needs the services' own names"
        )
        fix = "Set `private_dns: true`"
        raise FieldError(message, *("networks", number, "private_dns"), fix=fix)


def _check_images(platform: Platform, gateway: Gateway) -> None:
    site = platform.site(gateway.site)
    for name in ("edge", "translator"):
        image = getattr(platform.images, name)
        match = ECR_IMAGE.match(image) if image else None
        if image and (match is None or match[2] != site.region):
            message = (
                f"the image `{image}` is not in Amazon ECR in {site.region}, the only registry that Fargate tasks "
                "reach"
            )
            fix = f"Mirror it to ACCOUNT.dkr.ecr.{site.region}.amazonaws.com, and set `images.registry` to it"
            raise FieldError(message, *("images", name), fix=fix)


CHECKS: tuple[Callable[[Platform], None], ...] = (
    gateways_have_a_host,
    identities_match_their_hosts,
    fargate_gateways_are_complete,
)
