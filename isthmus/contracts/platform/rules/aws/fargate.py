"""What must hold of gateways by where they run, and of those on Fargate. Rules of `platform_checks`.

Boundaries answer no (exit 1), the rest is wrong input (exit 2). Nothing here asks a cloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups.aws import cluster_at, has_cluster, network_for
from isthmus.contracts.platform.model.aws.fargate import SERVICES, SIZES
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import CALLED_TARGETS
from isthmus.core import ip_addresses
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Gateway, Platform

ECR = re.compile(
    r"([0-9]{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.(?:com(?:\.cn)?|eu)/([a-z0-9._/-]+?)(?::[^@]*)?@"
)
"""An image in Amazon ECR: account, region, repository."""
_ELSEWHERE = "Add a cluster for it to `clusters`, or say `runs_on: fargate`, with `fargate` settings"
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){2,}[a-z]{2,63}")


def gateways_run_somewhere(platform: Platform) -> None:
    """In a cluster where there is one; on Fargate at an AWS site, never restricted work."""
    sites = {site.name: site for site in platform.sites}
    for index, gateway in enumerate(platform.gateways):
        path = ("gateways", index, "runs_on")
        site = sites[gateway.site]
        if gateway.runs_on == "kubernetes":
            if not has_cluster(platform, site):
                what = f"gateway {gateway.name} runs on Kubernetes, and {site.name} has no cluster"
                raise FieldError(what, *path, fix=_ELSEWHERE)
            _kubernetes(gateway, index)
            continue
        if not handling.may_use_aws(gateway.class_):
            what = f"the {gateway.class_} gateway {gateway.name} runs on Fargate, and its prompts must not reach AWS"
            raise FieldError(what, *path, fix="Give it an on-prem site", refused=True)
        if site.kind != "aws":
            what = f"gateway {gateway.name} runs on Fargate, and {site.name} is an on-prem site"
            raise FieldError(what, *path, fix="Say `runs_on: kubernetes`, or name an AWS site")


def _kubernetes(gateway: Gateway, index: int) -> None:
    if gateway.fargate is not None:
        what = f"gateway {gateway.name} runs on Kubernetes and has settings of Fargate"
        raise FieldError(
            what, *("gateways", index, "fargate"), fix="Say `runs_on: fargate`, or leave them out"
        )
    for key in ("callers_secret", "certificate_secret"):
        if str(getattr(gateway, key)).startswith("arn:"):
            what = f"gateway {gateway.name} runs on Kubernetes, and its {key} is one of AWS"
            raise FieldError(what, *("gateways", index, key), fix="Name a Secret of the class's namespace")


def identities_fit_their_hosts(platform: Platform) -> None:
    """Tasks of ECS have an identity by their task, pods by a certificate or by where they run; one is one of them."""
    identities = {one.name: (index, one) for index, one in enumerate(platform.identities)}
    for gateway in platform.gateways:
        if gateway.identity is None:
            continue
        number, identity = identities[gateway.identity]
        if (identity.assumed_by == "ecs-tasks") != (gateway.runs_on == "fargate"):
            who = "tasks of ECS" if identity.assumed_by == "ecs-tasks" else "no task of ECS"
            what = f"gateway {gateway.name} runs on {gateway.runs_on}, and {who} may have identity {identity.name}"
            placed = cluster_at(platform, gateway.site) is not None and identity.site == gateway.site
            wanted = "eks-pod-identity" if placed else "roles-anywhere"
            wanted = "ecs-tasks" if gateway.runs_on == "fargate" else wanted
            raise FieldError(what, *("identities", number, "assumed_by"), fix=f"Say `assumed_by: {wanted}`")
        if gateway.runs_on == "fargate" and identity.site != gateway.site:
            what = f"gateway {gateway.name} runs at {gateway.site}, and its identity lives at {identity.site}"
            raise FieldError(what, *("identities", number, "site"), fix=f"Say `site: {gateway.site}`")
    for index, identity in enumerate(platform.identities):
        if identity.assumed_by == "ecs-tasks":
            for key in ("trust", "certificate_secret"):
                if getattr(identity, key) is not None:
                    what = f"identity {identity.name} is had by its task, and names a {key}"
                    raise FieldError(
                        what, *("identities", index, key), fix="Leave it out: ECS vouches for its tasks"
                    )


def fargate_is_whole(platform: Platform) -> None:
    """A gateway on Fargate has secrets, a name, a network with private endpoints, and images that it can reach."""
    for index, gateway in enumerate(platform.gateways):
        if gateway.runs_on != "fargate":
            continue
        path = ("gateways", index)
        settings = gateway.fargate
        if settings is None:
            what = f"gateway {gateway.name} runs on Fargate and has no settings for it"
            raise FieldError(
                what, *path, "fargate", fix="Add `fargate: {clients: […], translator_secret: …}`"
            )
        for key in ("callers_secret", "certificate_secret"):
            if not str(getattr(gateway, key)).startswith("arn:"):
                what = f"gateway {gateway.name} runs on Fargate, and its {key} is no secret of AWS Secrets Manager"
                raise FieldError(
                    what, *path, key, fix="Name it by ARN: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME"
                )
        for key in ("proxy", "ca_bundle", "destinations"):
            if getattr(gateway, key):
                what = f"gateway {gateway.name} runs on Fargate, whose ways out are the private endpoints"
                raise FieldError(what, *path, key, fix="Leave it out")
        if not _HOST.fullmatch(gateway.host) or len(gateway.host) > 253 or gateway.host.endswith(".svc"):
            what = f"`{gateway.host}` is no DNS name of a private zone"
            raise FieldError(
                what, *path, "host", fix="Name it in full, like internal-gateway.llm.bank.example"
            )
        if settings.memory not in SIZES[settings.cpu]:
            least, most = SIZES[settings.cpu][0], SIZES[settings.cpu][-1]
            what = f"{settings.memory} MiB with {settings.cpu} CPU units, which AWS does not offer"
            raise FieldError(what, *path, "fargate", "memory", fix=f"Say {least} to {most}, in steps of 1024")
        for number, text in enumerate(settings.clients):
            client = ip_addresses.site_network(text, *path, "fargate", "clients", number)
            if client.prefixlen < 8:
                what = f"`{text}` is no network of applications"
                raise FieldError(
                    what,
                    *path,
                    "fargate",
                    "clients",
                    number,
                    fix="Name each, like 10.60.0.0/16",
                    refused=True,
                )
        _models(platform, gateway, index)
        _network(platform, gateway, index)
        _images(platform, gateway)
        least = handling.of(gateway.class_).records_months_min * 365 // 12
        if settings.log_days < least:
            what = f"{settings.log_days} days, and class {gateway.class_} keeps records {least} days"
            raise FieldError(what, *path, "fargate", "log_days", fix=f"Say {least} or more", refused=True)


def _models(platform: Platform, gateway: Gateway, index: int) -> None:
    targets = {endpoint.id: endpoint.target for endpoint in platform.endpoints}
    for number, workload in enumerate(gateway.workloads):
        for name in (workload.endpoint, *workload.overflow):
            if targets[name] not in CALLED_TARGETS:
                what = f"gateway {gateway.name} runs on Fargate, and {name} is a model server of a cluster"
                fix = "Let a gateway beside the cluster serve it"
                raise FieldError(what, *("gateways", index, "workloads", number, "endpoint"), fix=fix)


def _network(platform: Platform, gateway: Gateway, index: int) -> None:
    network = network_for(platform, gateway.site, gateway.class_)
    if network is None:
        what = f"no network at {gateway.site} carries {gateway.class_} work, and the tasks need one"
        fix = f"Add class {gateway.class_} to one of `networks` at {gateway.site}"
        raise FieldError(what, *("gateways", index, "site"), fix=fix, refused=True)
    number = platform.networks.index(network)
    missing = [one for one in SERVICES if one not in network.services]
    if missing:
        what = f"network {network.name} has no private endpoint for {' and '.join(missing)}"
        fix = f"A gateway on Fargate needs {', '.join(SERVICES)}: add it to its services"
        raise FieldError(what, *("networks", number, "services"), fix=fix)
    if not network.private_dns:
        what = f"the services' own names do not lead to the endpoints of network {network.name}"
        fix = "Say `private_dns: true`: a task is started by those names"
        raise FieldError(what, *("networks", number, "private_dns"), fix=fix)


def _images(platform: Platform, gateway: Gateway) -> None:
    site = platform.site(gateway.site)
    for name in ("edge", "translator"):
        image = getattr(platform.images, name)
        found = ECR.match(image) if image else None
        if image and (found is None or found[2] != site.region):
            what = f"`{image}` is not in Amazon ECR in {site.region}, and a task there has no way to anything else"
            fix = f"Mirror it to ACCOUNT.dkr.ecr.{site.region}.amazonaws.com, and name that in `images.registry`"
            raise FieldError(what, *("images", name), fix=fix)


CHECKS: tuple[Callable[[Platform], None], ...] = (
    gateways_run_somewhere,
    identities_fit_their_hosts,
    fargate_is_whole,
)
