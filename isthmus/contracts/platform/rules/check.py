"""What must hold across the platform's parts, whoever wrote them: blueprint, plan or override.

Each rule is one function that raises `FieldError` with the path of the value at fault; `Platform` runs them all
when it is validated. Boundaries answer no (exit 1), the rest is wrong input (exit 2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.hardware.packing import pack
from isthmus.contracts.platform.lookups import aws as lookups_aws
from isthmus.contracts.platform.lookups import mig as platform_mig
from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.lookups.names import known
from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.rules import boundaries as boundary_rules
from isthmus.contracts.platform.rules import gateway as gateway_rules
from isthmus.contracts.platform.rules import gpu_sharing
from isthmus.contracts.platform.rules import names as name_rules
from isthmus.contracts.platform.rules import pools as pool_rules
from isthmus.contracts.platform.rules import records as rules_records
from isthmus.contracts.platform.rules import reviews as review_rules
from isthmus.contracts.platform.rules import screening as screening_rules
from isthmus.contracts.platform.rules import serving as serving_rules
from isthmus.contracts.platform.rules.aws import account as aws_account_rules
from isthmus.contracts.platform.rules.aws import eks as eks_rules
from isthmus.contracts.platform.rules.aws import fargate as fargate_rules
from isthmus.contracts.platform.rules.aws import network as aws_network_rules
from isthmus.contracts.platform.rules.aws import sagemaker as sagemaker_rules
from isthmus.contracts.platform.rules.aws import system_nodes as aws_system_nodes
from isthmus.contracts.platform.rules.serving import at_its_most
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import ON_PREM_TARGETS, VLLM_TARGETS
from isthmus.core.errors import FieldError
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform


def check(platform: Platform) -> None:
    """Raise `FieldError` on the first rule that is broken."""
    for rule in CHECKS:
        rule(platform)


def names_are_unique(platform: Platform) -> None:
    """Overrides merge lists by name: two of one name could not be told apart."""
    for part in ("sites", "pools", "gateways", "identities", "audit"):
        unique(getattr(platform, part), "name", part)
    unique(platform.endpoints, "id", "endpoints")
    unique(platform.scaling, "endpoint", "scaling")
    taken: set[tuple[str, str]] = set()
    for index, gateway in enumerate(platform.gateways):
        unique(gateway.workloads, "name", "gateways", index, "workloads")
        if (gateway.class_, gateway.site) in taken:
            what = f"two gateways for class {gateway.class_} at {gateway.site}"
            raise FieldError(what, *("gateways", index), fix="Keep one")
        taken.add((gateway.class_, gateway.site))
    for index, endpoint in enumerate(platform.endpoints):
        unique(endpoint.adapters, "name", "endpoints", index, "adapters")


def names_exist(platform: Platform) -> None:
    """Sites, pools, endpoints, identities and adapters that are named are there."""
    sites = [site.name for site in platform.sites]
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    identities = [identity.name for identity in platform.identities]
    for part in ("pools", "endpoints", "gateways", "identities", "audit"):
        for index, item in enumerate(getattr(platform, part)):
            known(item.site, sites, "site", part, index, "site")
    for index, scaling in enumerate(platform.scaling):
        known(scaling.endpoint, endpoints, "endpoint", "scaling", index, "endpoint")
    for index, identity in enumerate(platform.identities):
        for number, name in enumerate(identity.endpoints):
            known(name, endpoints, "endpoint", *("identities", index, "endpoints", number))
    for index, gateway in enumerate(platform.gateways):
        if gateway.identity is not None:
            known(gateway.identity, identities, "identity", "gateways", index, "identity")
        for number, workload in enumerate(gateway.workloads):
            path = ("gateways", index, "workloads", number)
            known(workload.endpoint, endpoints, "endpoint", *path, "endpoint")
            for key in ("also", "overflow"):
                for place, name in enumerate(getattr(workload, key)):
                    known(name, endpoints, "endpoint", *path, key, place)
            if workload.canary is not None:
                known(workload.canary.endpoint, endpoints, "endpoint", *path, "canary", "endpoint")
            if workload.adapter is not None:
                adapters = [adapter.name for adapter in endpoints[workload.endpoint].adapters]
                what = f"adapter of endpoint {workload.endpoint}"
                known(workload.adapter, adapters, what, *path, "adapter")


def sites_are_whole(platform: Platform) -> None:
    """An on-prem site names its cluster, an AWS site its region; where there is a cluster, who may scrape."""
    if platform.monitoring.namespace is None and any(
        lookups_aws.has_cluster(platform, site) for site in platform.sites
    ):
        what = "no namespace is named that may scrape models and gateways"
        raise FieldError(what, *("monitoring", "namespace"), fix="Name the one that Prometheus runs in")
    for index, site in enumerate(platform.sites):
        key = "kube_context" if site.kind == "on-prem" else "region"
        if not getattr(site, key):
            raise FieldError(f"the {site.kind} site {site.name} names no {key}", *("sites", index, key))
        if site.assume_role and site.account_id and site.assume_role.split(":")[4] != site.account_id:
            what = f"`{site.assume_role}` is not a role of {site.name}'s account {site.account_id}"
            raise FieldError(what, *("sites", index, "assume_role"), fix="Name a role of that account")


def targets_fit_sites(platform: Platform) -> None:
    """On-prem targets at on-prem sites, cloud targets in AWS, in the region of the site."""
    sites = {site.name: site for site in platform.sites}
    for index, endpoint in enumerate(platform.endpoints):
        site = sites[endpoint.site]
        if (endpoint.target in ON_PREM_TARGETS) != (site.kind == "on-prem"):
            what = f"{endpoint.target} does not run at {site.name}, an {site.kind} site"
            raise FieldError(what, *("endpoints", index, "target"))
        if endpoint.target == "bedrock" and endpoint.region not in (None, site.region):
            what = f"the endpoint is in {endpoint.region}, and its site {site.name} in {site.region}"
            raise FieldError(what, *("endpoints", index, "region"))


def models_have_what_they_need(platform: Platform) -> None:
    """An endpoint on our GPUs has a pool at its site, and weights; its replicas outlive what they must."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        path = ("endpoints", index)
        if endpoint.target not in VLLM_TARGETS:
            continue
        if platform.images.vllm is None:
            raise FieldError(
                f"no image of vLLM is named, and {endpoint.id} is served by it",
                *("images", "vllm"),
                fix="Name `images.registry`, where those of images.lock.yaml are, or this one by digest",
            )
        if endpoint.weights is None:
            raise FieldError(
                f"endpoint {endpoint.id} names no weights",
                *(*path, "weights"),
                fix="Add `weights: {uri: …, digest: sha256:…}` to it in `isthmus:overrides`",
            )
        if endpoint.engine == "cpu":
            continue
        if endpoint.pool is None:
            raise FieldError(
                f"endpoint {endpoint.id} names no pool", *path, "pool", fix=f"Pools: {', '.join(pools)}"
            )
        known(endpoint.pool, pools, "pool", *path, "pool")
        pool = pools[endpoint.pool]
        if pool.site != endpoint.site:
            what = f"endpoint {endpoint.id} is at {endpoint.site}, and its pool {pool.name} at {pool.site}"
            raise FieldError(what, *path, "pool")
        if endpoint.tensor_parallel > pool.gpus_per_node:
            raise FieldError(
                f"tensor_parallel {endpoint.tensor_parallel}, and a node of {pool.name} has "
                f"{pool.gpus_per_node} GPUs",
                *(*path, "tensor_parallel"),
                fix=f"Say {pool.gpus_per_node} or fewer",
            )
        nodes = endpoint.nodes_per_replica
        if nodes > pool.nodes:
            what = f"a replica over {nodes} nodes, and pool {pool.name} has {pool.nodes}"
            raise FieldError(what, *path, "nodes_per_replica", fix=f"Say {pool.nodes} or fewer")
        if endpoint.survive == "node" and 2 * nodes > pool.nodes:
            what = f"two replicas of {endpoint.id} that share no node need {2 * nodes}, and pool {pool.name}"
            raise FieldError(
                f"{what} has {pool.nodes}", *path, "nodes_per_replica", fix="Say fewer, or `replica`"
            )
        within = pool.nodes // pool.failure_domains
        if endpoint.survive == "domain" and nodes > within:
            what = f"a replica over {nodes} nodes of one domain, and one of pool {pool.name} has {within}"
            raise FieldError(what, *path, "nodes_per_replica", fix=f"Say {max(1, within)} or fewer")
        if endpoint.survive != "none" and endpoint.replicas < 2:
            what = f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive} and has one replica"
            raise FieldError(what, *path, "replicas", fix="Say 2 or more")
        if endpoint.survive == "domain" and pool.failure_domains < 2:
            what = f"endpoint {endpoint.id} must survive the loss of a domain and pool {pool.name} has one"
            raise FieldError(what, *path, "survive")
        if endpoint.surge and pool.reserved_gpus < endpoint.tensor_parallel * endpoint.nodes_per_replica:
            what = f"surge needs GPUs kept for it, and pool {pool.name} reserves {pool.reserved_gpus}"
            raise FieldError(
                what, *path, "surge", fix="Say `surge: false`, or reserve the GPUs of one replica"
            )


def volumes_are_claimed_once(platform: Platform) -> None:
    """A volume binds to one claim, and a claim to one volume: a second one would wait for ever."""
    claims: dict[tuple[str, str], tuple[str, str]] = {}
    volumes: dict[tuple[str, str, str], str] = {}
    for index, endpoint in enumerate(platform.endpoints):
        claim, volume = claim_of(endpoint), endpoint.weights.volume if endpoint.weights else None
        if claim is None or volume is None:
            continue
        path = ("endpoints", index, "weights", "volume")
        class_, other = claims.setdefault((endpoint.site, volume), (endpoint.class_, claim))
        if (class_, other) != (endpoint.class_, claim):
            fix = (
                f"Name the same claim (pvc://{other})"
                if class_ == endpoint.class_
                else "Name one for each class"
            )
            what = f"endpoint {endpoint.id} claims volume {volume}, which {class_}'s claim {other} has"
            raise FieldError(what, *path, fix=fix)
        bound = volumes.setdefault((endpoint.site, endpoint.class_, claim), volume)
        if bound != volume:
            what = f"claim {claim} of endpoint {endpoint.id} is bound to volume {bound}, not {volume}"
            raise FieldError(what, *path, fix="Name another claim for another volume")


def pools_have_room(platform: Platform) -> None:
    """The replicas on a pool fit its nodes, reserved GPUs left alone."""
    for index, pool in enumerate(platform.pools):
        mine = platform_mig.whole(platform, pool)
        replicas = platform_mig.replicas(mine)
        free = platform_slicing.free(pool)
        if replicas and pack(free, replicas) is None:
            wanted = sum(replica.gpus * replica.nodes for replica in replicas)
            raise FieldError(
                f"the replicas of {', '.join(endpoint.id for endpoint in mine)} do not fit pool {pool.name} "
                f"({wanted} GPUs of {sum(free)} usable in nodes of {pool.gpus_per_node})",
                *("pools", index),
                fix="Fewer replicas, a smaller tensor_parallel, or a larger pool",
            )
        if pool.node_names and len(pool.node_names) != pool.nodes:
            what = f"pool {pool.name} has {pool.nodes} nodes and names {len(pool.node_names)}"
            raise FieldError(what, *("pools", index, "node_names"))


def gpus_add_up(platform: Platform) -> None:
    """An endpoint's GPUs are those that its replicas ask for: the summary would tell of others."""
    for index, endpoint in enumerate(platform.endpoints):
        factors = (endpoint.tensor_parallel, endpoint.nodes_per_replica, endpoint.replicas)
        wanted = factors[0] * factors[1] * factors[2]
        if endpoint.pool is not None and endpoint.gpus != wanted:
            raise FieldError(
                f"gpus is {endpoint.gpus}, and tensor_parallel × nodes_per_replica × replicas = "
                f"{factors[0]} × {factors[1]} × {factors[2]} = {wanted}",
                *("endpoints", index, "gpus"),
                fix=f"Say `gpus: {wanted}`",
            )


def images_are_from_named_registries(platform: Platform) -> None:
    """Every image begins with a prefix that admission lets in."""
    images = platform.images
    for index, prefix in enumerate(images.registries):
        if not prefix.endswith("/") or len(prefix) < 2:
            what = f"`{prefix}` does not end in `/`, so `{prefix}.elsewhere/` would pass too"
            raise FieldError(what, *("images", "registries", index), fix=f"Write `{prefix.rstrip('/')}/`")
    for name in ("edge", "translator", "detector", "vllm", "vllm_cpu", "credential_helper", "resolver"):
        reference = getattr(images, name)
        if reference is not None and not reference.startswith(tuple(images.registries)):
            raise FieldError(
                f"the image `{reference}` is from none of the named registries "
                f"({', '.join(images.registries)})",
                *("images", name),
                fix="Mirror it into one of them, or name its registry in `images.registries`",
                refused=True,
            )


def names_have_a_resolver(platform: Platform) -> None:
    """A class whose gateway asks a resolver of its own has an image of it."""
    sites = {site.name: site for site in platform.sites}
    for gateway in platform.gateways:
        if gateway.runs_on != "kubernetes" or gateway.class_ == "restricted":
            continue
        if sites[gateway.site].cluster_dns.filter and platform.images.resolver is None:
            raise FieldError(
                f"no image of the resolver is named, and gateway {gateway.name} asks one that answers for the names"
                " it needs alone",
                *("images", "resolver"),
                fix="Name CoreDNS by digest, or add `resolver` to images.lock.yaml. Without one, set `cluster_dns:"
                f" {{filter: false}}` of site {gateway.site}: pods can then spell data into names",
            )


def certificates_come_from_somewhere(platform: Platform) -> None:
    """Without an issuer every gateway and model server names its Secret."""
    if platform.issuer is not None:
        return
    for part in ("gateways", "endpoints"):
        for index, item in enumerate(getattr(platform, part)):
            if part == "endpoints" and item.target not in VLLM_TARGETS:
                continue
            if item.certificate_secret is None:
                raise FieldError(
                    "there is no certificate issuer, and no Secret with a certificate is named",
                    *(part, index, "certificate_secret"),
                    fix="Name `issuer: {name: …}` in `isthmus:overrides`, or a certificate_secret here",
                )


def audit_is_kept(platform: Platform) -> None:
    """Each site in use has a store, kept at least as long as the strictest class at it demands."""
    classes: dict[str, set[str]] = {}
    for item in (*platform.endpoints, *platform.gateways):
        classes.setdefault(item.site, set()).add(item.class_)
    kinds = {site.name: site.kind for site in platform.sites}
    for site in sorted(classes):
        if not any(store.site == site for store in platform.audit):
            raise FieldError(
                f"site {site} has no audit store",
                "audit",
                fix=f"Add one for site {site} to `audit` in `isthmus:overrides`",
            )
    for index, store in enumerate(platform.audit):
        path = ("audit", index)
        served = classes.get(store.site, set())
        if store.mode == "off" and served:
            what = f"the audit store of {store.site} is off, and every class keeps records"
            raise FieldError(what, *path, "mode", fix="Say `existing` or `manage`", refused=True)
        if store.mode == "manage" and kinds[store.site] == "on-prem":
            what = "an on-prem audit store is the organisation's own"
            raise FieldError(what, *path, "mode", fix="Say `existing`, with `endpoint` and `bucket`")
        if store.mode == "existing":
            for key in ("bucket", "endpoint") if kinds[store.site] == "on-prem" else ("bucket",):
                if getattr(store, key) is None:
                    raise FieldError(f"the existing audit store {store.name} names no {key}", *path, key)
        for class_ in sorted(served, key=lambda one: handling.of(one).records_months_min, reverse=True):
            days = handling.of(class_).records_months_min * 365 // 12
            if store.retention_days < days:
                raise FieldError(
                    f"{store.retention_days} days at {store.site}, and class {class_} keeps records "
                    f"{days} days",
                    *(*path, "retention_days"),
                    fix=f"Say {days} or more",
                    refused=True,
                )


CHECKS: tuple[Callable[[Platform], None], ...] = (
    names_are_unique,
    names_exist,
    sites_are_whole,
    *name_rules.CHECKS,
    *boundary_rules.CHECKS,
    *eks_rules.FIRST,
    *fargate_rules.CHECKS,
    gateway_rules.limits_have_where_to_be_counted,
    targets_fit_sites,
    sagemaker_rules.settings_are_whole,
    at_its_most(gpu_sharing.slices_are_one_a_replica),
    models_have_what_they_need,
    volumes_are_claimed_once,
    *serving_rules.CHECKS,
    at_its_most(pools_have_room),
    gpus_add_up,
    at_its_most(gpu_sharing.pools_state_their_cuts),
    *pool_rules.CHECKS,
    images_are_from_named_registries,
    names_have_a_resolver,
    certificates_come_from_somewhere,
    audit_is_kept,
    *rules_records.CHECKS,
    *review_rules.CHECKS,
    *gateway_rules.CHECKS,
    *aws_account_rules.CHECKS,
    *aws_network_rules.CHECKS,
    name_rules.classes_are_in_use,
    *sagemaker_rules.CHECKS,
    *eks_rules.CHECKS,
    *aws_system_nodes.CHECKS,
    *screening_rules.CHECKS,
)
