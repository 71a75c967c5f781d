"""Runs all rules of the platform; has the rules for names, sites, models, GPUs, images and audit stores.

Each rule is a function that raises `FieldError` with the path of the wrong value. `Platform` runs all rules when it is
validated, whether a blueprint, a plan or an override wrote the value. Boundary violations exit 1, other faults exit 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from isthmus.contracts.hardware.packing import pack
from isthmus.contracts.platform.lookups import aws as lookups_aws
from isthmus.contracts.platform.lookups import mig as platform_mig
from isthmus.contracts.platform.lookups import slicing as platform_slicing
from isthmus.contracts.platform.lookups.names import check_name
from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.rules import access as access_rules
from isthmus.contracts.platform.rules import boundaries as boundary_rules
from isthmus.contracts.platform.rules import chat as chat_rules
from isthmus.contracts.platform.rules import desk as desk_rules
from isthmus.contracts.platform.rules import engine_flags as engine_flag_rules
from isthmus.contracts.platform.rules import evaluator as evaluator_rules
from isthmus.contracts.platform.rules import gateway as gateway_rules
from isthmus.contracts.platform.rules import gpu_sharing
from isthmus.contracts.platform.rules import names as name_rules
from isthmus.contracts.platform.rules import notifier as notifier_rules
from isthmus.contracts.platform.rules import pools as pool_rules
from isthmus.contracts.platform.rules import records as rules_records
from isthmus.contracts.platform.rules import reviews as review_rules
from isthmus.contracts.platform.rules import screening as screening_rules
from isthmus.contracts.platform.rules import serving as serving_rules
from isthmus.contracts.platform.rules import sign_on as sign_on_rules
from isthmus.contracts.platform.rules import teams as team_rules
from isthmus.contracts.platform.rules import usage as usage_rules
from isthmus.contracts.platform.rules.aws import account as aws_account_rules
from isthmus.contracts.platform.rules.aws import eks as eks_rules
from isthmus.contracts.platform.rules.aws import fargate as fargate_rules
from isthmus.contracts.platform.rules.aws import network as aws_network_rules
from isthmus.contracts.platform.rules.aws import sagemaker as sagemaker_rules
from isthmus.contracts.platform.rules.aws import system_nodes as aws_system_nodes
from isthmus.contracts.platform.rules.serving import on_max_replicas
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import ON_PREM_TARGETS, VLLM_TARGETS
from isthmus.core.errors import FieldError, IsthmusError, raise_all
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Platform, Pool


_FAILED_LOOKUPS = (
    *(AttributeError, IsthmusError, LookupError, StopIteration, TypeError, ValueError),
    RuntimeError,  # what a StopIteration becomes inside a generator (PEP 479)
)
"""What a rule may raise if an earlier rule has refused what it looks up."""


def check(platform: Platform) -> None:
    """Raise `FieldError` for every broken rule. Rules after a broken one count only as far as they can run.

    Every other rule looks up the names that `FIRST_CHECKS` has checked, so these end the run.
    """
    faults: list[FieldError] = []
    for rule in CHECKS:
        try:
            rule(platform)
        except FieldError as error:
            faults.append(error)
            if rule in FIRST_CHECKS:
                break
        except _FAILED_LOOKUPS:
            if not faults:
                raise  # A rule that fails on a sound platform is a defect of the rule.
    raise_all(faults)


def names_are_unique(platform: Platform) -> None:
    """Names in a list are unique, because overrides merge lists by name."""
    for part in ("sites", "pools", "gateways", "identities", "audit"):
        unique(getattr(platform, part), "name", part)
    unique(platform.endpoints, "id", "endpoints")
    unique(platform.scaling, "endpoint", "scaling")
    class_sites: set[tuple[str, str]] = set()
    for index, gateway in enumerate(platform.gateways):
        unique(gateway.workloads, "name", "gateways", index, "workloads")
        if (gateway.class_, gateway.site) in class_sites:
            message = f"there are two gateways for class {gateway.class_} at {gateway.site}"
            raise FieldError(message, *("gateways", index), fix="Remove one of them")
        class_sites.add((gateway.class_, gateway.site))
    for index, endpoint in enumerate(platform.endpoints):
        unique(endpoint.adapters, "name", "endpoints", index, "adapters")


def names_exist(platform: Platform) -> None:
    """Named sites, pools, endpoints, identities and adapters exist."""
    sites = [site.name for site in platform.sites]
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    identities = [identity.name for identity in platform.identities]
    for part in ("pools", "endpoints", "gateways", "identities", "audit"):
        for index, item in enumerate(getattr(platform, part)):
            check_name(item.site, sites, "site", part, index, "site")
    for index, scaling in enumerate(platform.scaling):
        check_name(scaling.endpoint, endpoints, "endpoint", "scaling", index, "endpoint")
    for index, identity in enumerate(platform.identities):
        for number, name in enumerate(identity.endpoints):
            check_name(name, endpoints, "endpoint", *("identities", index, "endpoints", number))
    for index, gateway in enumerate(platform.gateways):
        if gateway.identity is not None:
            check_name(gateway.identity, identities, "identity", "gateways", index, "identity")
        for number, workload in enumerate(gateway.workloads):
            path = ("gateways", index, "workloads", number)
            check_name(workload.endpoint, endpoints, "endpoint", *path, "endpoint")
            for key in ("also", "overflow", "fallback"):
                for place, name in enumerate(getattr(workload, key)):
                    check_name(name, endpoints, "endpoint", *path, key, place)
            if workload.canary is not None:
                check_name(workload.canary.endpoint, endpoints, "endpoint", *path, "canary", "endpoint")
            if workload.adapter is not None:
                adapters = [adapter.name for adapter in endpoints[workload.endpoint].adapters]
                message = f"adapter of endpoint {workload.endpoint}"
                check_name(workload.adapter, adapters, message, *path, "adapter")


def sites_are_complete(platform: Platform) -> None:
    """On-prem sites have a kube_context, AWS sites a region; with a cluster, a monitoring namespace is set."""
    if platform.monitoring.namespace is None and any(
        lookups_aws.has_cluster(platform, site) for site in platform.sites
    ):
        message = "monitoring.namespace is not set, so nothing could scrape models and gateways"
        raise FieldError(
            message, *("monitoring", "namespace"), fix="Set it to the namespace that Prometheus runs in"
        )
    for index, site in enumerate(platform.sites):
        key = "kube_context" if site.kind == "on-prem" else "region"
        if not getattr(site, key):
            raise FieldError(
                f"the {site.kind} site {site.name} has no {key}",
                *("sites", index, key),
                fix=f"Add `{key}: …`",
            )
        if site.assume_role and site.account_id and site.assume_role.split(":")[4] != site.account_id:
            message = f"`{site.assume_role}` is not a role of {site.name}'s account {site.account_id}"
            raise FieldError(
                message, *("sites", index, "assume_role"), fix="Set `assume_role` to a role of that account"
            )


def targets_fit_sites(platform: Platform) -> None:
    """On-prem targets are at on-prem sites; cloud targets are in AWS, in the region of their site."""
    sites = {site.name: site for site in platform.sites}
    for index, endpoint in enumerate(platform.endpoints):
        site = sites[endpoint.site]
        if (endpoint.target in ON_PREM_TARGETS) != (site.kind == "on-prem"):
            message = f"target {endpoint.target} is not possible at {site.name}, which is an {site.kind} site"
            fix = "Use another target, or another site"
            raise FieldError(message, *("endpoints", index, "target"), fix=fix)
        if endpoint.target == "bedrock" and endpoint.region not in (None, site.region):
            message = f"endpoint {endpoint.id} is in {endpoint.region}, but its site {site.name} is in {site.region}"
            raise FieldError(message, *("endpoints", index, "region"), fix=f"Set `region: {site.region}`")


def model_servers_are_complete(platform: Platform) -> None:
    """Model servers have an image, weights and a pool that fits; enough replicas to survive what they must."""
    pools = {pool.name: pool for pool in platform.pools}
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.target not in VLLM_TARGETS:
            continue
        _check_image_and_weights(platform, endpoint, index)
        if endpoint.engine == "cpu":
            continue
        pool = _pool_of(endpoint, index, pools)
        _check_replica_fits(endpoint, index, pool)
        _check_survival(endpoint, index, pool)
        if endpoint.surge and pool.reserved_gpus < endpoint.tensor_parallel * endpoint.nodes_per_replica:
            raise FieldError(
                f"surge needs reserved GPUs for one replica, but pool {pool.name} reserves {pool.reserved_gpus}",
                *("endpoints", index, "surge"),
                fix="Set `surge: false`, or raise reserved_gpus of the pool",
            )


def _check_image_and_weights(platform: Platform, endpoint: Endpoint, index: int) -> None:
    if platform.images.vllm is None:
        raise FieldError(
            f"`images` has no vllm, which endpoint {endpoint.id} needs",
            *("images", "vllm"),
            fix=(
                "Set `images.registry` to the registry with the images of images.lock.yaml, or set this "
                "image by digest"
            ),
        )
    if endpoint.weights is None:
        raise FieldError(
            f"endpoint {endpoint.id} has no weights",
            *("endpoints", index, "weights"),
            fix="Add `weights: {uri: …, digest: sha256:…}` to it in `isthmus:overrides`",
        )


def _pool_of(endpoint: Endpoint, index: int, pools: Mapping[str, Pool]) -> Pool:
    """The endpoint's pool, which exists and is at the endpoint's site. Raises `FieldError`."""
    path = ("endpoints", index, "pool")
    if endpoint.pool is None:
        raise FieldError(
            f"endpoint {endpoint.id} has no pool",
            *path,
            fix=f"Set `pool` to one of: {', '.join(pools) or 'none exist'}",
        )
    check_name(endpoint.pool, pools, "pool", *path)
    pool = pools[endpoint.pool]
    if pool.site != endpoint.site:
        message = f"endpoint {endpoint.id} is at {endpoint.site}, but its pool {pool.name} is at {pool.site}"
        raise FieldError(message, *path, fix=f"Use a pool at {endpoint.site}")
    return pool


def _check_replica_fits(endpoint: Endpoint, index: int, pool: Pool) -> None:
    """The pool has nodes that are large enough, and enough of them, for one replica."""
    path = ("endpoints", index)
    if endpoint.tensor_parallel > pool.gpus_per_node:
        raise FieldError(
            f"tensor_parallel is {endpoint.tensor_parallel}, but a node of {pool.name} has "
            f"{pool.gpus_per_node} GPUs",
            *(*path, "tensor_parallel"),
            fix=f"Set tensor_parallel to {pool.gpus_per_node} or less",
        )
    nodes = endpoint.nodes_per_replica
    if nodes > pool.nodes:
        message = f"nodes_per_replica is {nodes}, but pool {pool.name} has {pool.nodes} nodes"
        fix = f"Set nodes_per_replica to {pool.nodes} or less"
        raise FieldError(message, *path, "nodes_per_replica", fix=fix)


def _check_survival(endpoint: Endpoint, index: int, pool: Pool) -> None:
    """The pool has room for a second replica on other nodes or in another domain, and the endpoint has one."""
    path = ("endpoints", index)
    nodes = endpoint.nodes_per_replica
    if endpoint.survive == "node" and 2 * nodes > pool.nodes:
        message = (
            f"two replicas of {endpoint.id} on different nodes need {2 * nodes} nodes, but pool {pool.name}"
        )
        raise FieldError(
            f"{message} has {pool.nodes}",
            *path,
            "nodes_per_replica",
            fix="Lower nodes_per_replica, or set `survive: replica`",
        )
    within = pool.nodes // pool.failure_domains
    if endpoint.survive == "domain" and nodes > within:
        message = f"nodes_per_replica is {nodes}, but a failure domain of pool {pool.name} has {within} nodes"
        fix = f"Set nodes_per_replica to {max(1, within)} or less"
        raise FieldError(message, *path, "nodes_per_replica", fix=fix)
    if endpoint.survive != "none" and endpoint.replicas < 2:
        message = f"endpoint {endpoint.id} must survive the loss of a {endpoint.survive}, but has one replica"
        raise FieldError(message, *path, "replicas", fix="Set replicas to 2 or more")
    if endpoint.survive == "domain" and pool.failure_domains < 2:
        message = (
            f"endpoint {endpoint.id} must survive the loss of a domain, but pool {pool.name} has one domain"
        )
        fix = "Set `survive` to replica or node, or use a pool with more failure domains"
        raise FieldError(message, *path, "survive", fix=fix)


def volumes_have_one_claim(platform: Platform) -> None:
    """A volume binds to one claim, and a claim to one volume; a second one would stay pending."""
    claims: dict[tuple[str, str], tuple[str, str]] = {}
    volumes: dict[tuple[str, str, str], str] = {}
    for index, endpoint in enumerate(platform.endpoints):
        claim, volume = claim_of(endpoint), endpoint.weights.volume if endpoint.weights else None
        if claim is None or volume is None:
            continue
        path = ("endpoints", index, "weights", "volume")
        class_, other_claim = claims.setdefault((endpoint.site, volume), (endpoint.class_, claim))
        if (class_, other_claim) != (endpoint.class_, claim):
            fix = (
                f"Use the same claim (pvc://{other_claim})"
                if class_ == endpoint.class_
                else "Use a separate volume for each class"
            )
            message = (
                f"endpoint {endpoint.id} uses volume {volume}, which claim {other_claim} of class {class_} "
                "already uses"
            )
            raise FieldError(message, *path, fix=fix)
        bound = volumes.setdefault((endpoint.site, endpoint.class_, claim), volume)
        if bound != volume:
            message = (
                f"claim {claim} of endpoint {endpoint.id} is already bound to volume {bound}, not to {volume}"
            )
            raise FieldError(message, *path, fix="Use another claim for the other volume")


def pools_have_room(platform: Platform) -> None:
    """The replicas of a pool fit its nodes, without the reserved GPUs."""
    for index, pool in enumerate(platform.pools):
        endpoints = platform_mig.endpoints_on_whole_gpus(platform, pool)
        replicas = platform_mig.replicas(endpoints)
        free = platform_slicing.free_whole_gpus(pool)
        if replicas and pack(free, replicas) is None:
            needed = sum(replica.gpus * replica.nodes for replica in replicas)
            raise FieldError(
                f"the replicas of {', '.join(endpoint.id for endpoint in endpoints)} do not fit pool {pool.name} "
                f"({needed} GPUs of {sum(free)} usable in nodes of {pool.gpus_per_node})",
                *("pools", index),
                fix="Use fewer replicas, a smaller tensor_parallel, or a larger pool",
            )
        if pool.node_names and len(pool.node_names) != pool.nodes:
            message = f"pool {pool.name} has {pool.nodes} nodes, but {len(pool.node_names)} node_names"
            raise FieldError(message, *("pools", index, "node_names"), fix=f"List {pool.nodes} names")


def gpus_add_up(platform: Platform) -> None:
    """An endpoint's `gpus` is the number that its replicas use."""
    for index, endpoint in enumerate(platform.endpoints):
        factors = (endpoint.tensor_parallel, endpoint.nodes_per_replica, endpoint.replicas)
        product = factors[0] * factors[1] * factors[2]
        if endpoint.pool is not None and endpoint.gpus != product:
            raise FieldError(
                f"gpus is {endpoint.gpus}, but tensor_parallel × nodes_per_replica × replicas = "
                f"{factors[0]} × {factors[1]} × {factors[2]} = {product}",
                *("endpoints", index, "gpus"),
                fix=f"Set `gpus: {product}`",
            )


def images_are_from_named_registries(platform: Platform) -> None:
    """Every image has a prefix that the admission policy accepts."""
    images = platform.images
    for index, prefix in enumerate(images.registries):
        if not prefix.endswith("/") or len(prefix) < 2:
            message = f"`{prefix}` does not end in `/`, so `{prefix}.elsewhere/` would be accepted too"
            raise FieldError(message, *("images", "registries", index), fix=f"Write `{prefix.rstrip('/')}/`")
    for name in ("edge", "translator", "detector", "vllm", "vllm_cpu", "credential_helper", "resolver"):
        reference = getattr(images, name)
        if reference is not None and not reference.startswith(tuple(images.registries)):
            raise FieldError(
                f"the image `{reference}` is not from an allowed registry ({', '.join(images.registries)})",
                *("images", name),
                fix="Mirror it into one of them, or add its registry to `images.registries`",
                refused=True,
            )


def gateways_have_a_resolver(platform: Platform) -> None:
    """A gateway with a resolver of its own needs the resolver's image."""
    sites = {site.name: site for site in platform.sites}
    for gateway in platform.gateways:
        if gateway.runs_on != "kubernetes" or gateway.class_ == "restricted":
            continue
        if sites[gateway.site].cluster_dns.filter and platform.images.resolver is None:
            raise FieldError(
                f"`images` has no resolver, but gateway {gateway.name} needs one that resolves allowed names only",
                *("images", "resolver"),
                fix=(
                    "Set `images.resolver` to CoreDNS by digest, or add `resolver` to images.lock.yaml. To go "
                    f"without, set `cluster_dns: {{filter: false}}` of site {gateway.site}; pods can then send data "
                    "out in DNS names"
                ),
            )


def certificates_have_a_source(platform: Platform) -> None:
    """Without an issuer, every gateway and model server has a certificate_secret."""
    if platform.issuer is not None:
        return
    for part in ("gateways", "endpoints"):
        for index, item in enumerate(getattr(platform, part)):
            if part == "endpoints" and item.target not in VLLM_TARGETS:
                continue
            if item.certificate_secret is None:
                raise FieldError(
                    f"{part.removesuffix('s')} {getattr(item, 'name', '') or item.id} has neither a "
                    "certificate issuer nor a "
                    "certificate_secret",
                    *(part, index, "certificate_secret"),
                    fix="Set `issuer: {name: …}` in `isthmus:overrides`, or a certificate_secret here",
                )


def audit_stores_are_complete(platform: Platform) -> None:
    """Each site in use has an audit store that keeps records as long as its strictest class demands."""
    classes: dict[str, set[str]] = {}
    for item in (*platform.endpoints, *platform.gateways):
        classes.setdefault(item.site, set()).add(item.class_)
    kinds = {site.name: site.kind for site in platform.sites}
    for site in sorted(classes):
        if not any(store.site == site for store in platform.audit):
            raise FieldError(
                f"site {site} has no audit store",
                "audit",
                fix=f"Add a store for site {site} to `audit` in `isthmus:overrides`",
            )
    for index, store in enumerate(platform.audit):
        path = ("audit", index)
        served = classes.get(store.site, set())
        if store.mode == "off" and served:
            message = f"the audit store of {store.site} is off, but every class must keep records"
            raise FieldError(message, *path, "mode", fix="Set `mode` to existing or manage", refused=True)
        if store.mode == "manage" and kinds[store.site] == "on-prem":
            message = "Isthmus cannot make an on-prem audit store"
            fix = "Set `mode: existing`, with `endpoint` and `bucket` of your store"
            raise FieldError(message, *path, "mode", fix=fix)
        if store.mode == "existing":
            for key in ("bucket", "endpoint") if kinds[store.site] == "on-prem" else ("bucket",):
                if getattr(store, key) is None:
                    raise FieldError(
                        f"the existing audit store {store.name} has no {key}",
                        *path,
                        key,
                        fix=f"Add `{key}: …`",
                    )
        for class_ in sorted(
            served, key=lambda class_name: handling.handling_of(class_name).records_months_min, reverse=True
        ):
            days = handling.handling_of(class_).records_months_min * 365 // 12
            if store.retention_days < days:
                raise FieldError(
                    f"the audit store at {store.site} keeps records for {store.retention_days} days, but "
                    f"class {class_} "
                    f"needs {days} days",
                    *(*path, "retention_days"),
                    fix=f"Set retention_days to {days} or more",
                    refused=True,
                )


FIRST_CHECKS: tuple[Callable[[Platform], None], ...] = (names_are_unique, names_exist)
CHECKS: tuple[Callable[[Platform], None], ...] = (
    names_are_unique,
    names_exist,
    sites_are_complete,
    *name_rules.CHECKS,
    *boundary_rules.CHECKS,
    *access_rules.CHECKS,
    *engine_flag_rules.CHECKS,
    *eks_rules.EARLY_CHECKS,
    *fargate_rules.CHECKS,
    gateway_rules.check_gateway_callers,
    targets_fit_sites,
    sagemaker_rules.sagemaker_settings_are_complete,
    on_max_replicas(gpu_sharing.replicas_use_one_slice),
    model_servers_are_complete,
    volumes_have_one_claim,
    *serving_rules.CHECKS,
    on_max_replicas(pools_have_room),
    gpus_add_up,
    on_max_replicas(gpu_sharing.cut_gpus_match_the_endpoints),
    *pool_rules.CHECKS,
    images_are_from_named_registries,
    gateways_have_a_resolver,
    certificates_have_a_source,
    audit_stores_are_complete,
    *rules_records.CHECKS,
    *review_rules.CHECKS,
    *desk_rules.CHECKS,
    *evaluator_rules.CHECKS,
    *notifier_rules.CHECKS,
    *chat_rules.CHECKS,
    *gateway_rules.CHECKS,
    *team_rules.CHECKS,
    *usage_rules.CHECKS,
    sign_on_rules.users_can_be_served,
    *aws_account_rules.CHECKS,
    *aws_network_rules.CHECKS,
    name_rules.check_member_classes,
    *sagemaker_rules.CHECKS,
    *eks_rules.CHECKS,
    *aws_system_nodes.CHECKS,
    *screening_rules.CHECKS,
)
