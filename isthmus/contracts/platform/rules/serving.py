"""What must hold of how models are served. Rules of `platform_checks`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TYPE_CHECKING

from isthmus.contracts.platform.lookups import serving as lookups_serving
from isthmus.contracts.vocabulary import VLLM_TARGETS
from isthmus.core.errors import FieldError

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Gateway, Platform, Workload
    from isthmus.contracts.platform.model.serving import Scaling

Rule = Callable[["Platform"], None]
Path = tuple[str | int, ...]

WRITES = ("chat", "guard")
"""Tasks whose endpoint writes text: asked as chat, able to guess ahead and to take a salt."""
DEVELOPED_WITH = ("public", "internal")
"""Classes that may be served by an engine on CPUs."""
_ON_CPUS = {
    **{"pool": None, "mig_profile": None, "tensor_parallel": 1, "nodes_per_replica": 1, "gpus": 0},
    **{"survive": "none", "surge": False, "speculative": None},
}
GUESSES_BY_WEIGHTS = ("draft_model", "eagle", "eagle3")
"""Methods of guessing ahead that have weights of their own."""


def at_its_most(rule: Rule) -> Rule:
    """The rule, on the platform with every scaled endpoint at its most replicas."""

    def wrapped(platform: Platform) -> None:
        rule(lookups_serving.at_most(platform))

    return wrapped


def scaling_is_possible(platform: Platform) -> None:
    """What is scaled by load can be measured, is owned by KEDA alone, and starts where the plan says."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, scaling in enumerate(platform.scaling):
        path = ("scaling", index)
        if not scaling.by_load:
            continue
        endpoint = endpoints[scaling.endpoint]
        if endpoint.target not in VLLM_TARGETS:
            raise FieldError(
                f"{endpoint.id} runs on {endpoint.target}, which scales itself", *path, "endpoint"
            )
        if endpoint.nodes_per_replica > 1:
            raise FieldError(
                f"a replica of {endpoint.id} spans {endpoint.nodes_per_replica} machines: each group has ways and an "
                "address of its own, which are made for a number of groups that is known",
                *(*path, "endpoint"),
                fix="Say as many at least as at most",
            )
        if not platform.monitoring.prometheus_url:
            what = f"{endpoint.id} is scaled by load, and nothing says where its load can be read"
            raise FieldError(what, "monitoring", "prometheus_url", fix="Name the Prometheus that KEDA asks")
        if not platform.monitoring.pod_monitors:
            what = f"{endpoint.id} is scaled by load, and without PodMonitors nothing measures it"
            raise FieldError(what, "monitoring", "pod_monitors", fix="Say `pod_monitors: true`")
        if platform.operators.keda != "existing":
            what = f"{endpoint.id} is scaled by load, and KEDA is `{platform.operators.keda}`"
            raise FieldError(what, "operators", "keda", fix="Say `existing`: this version installs no KEDA")
        fallback = scaling.fallback_replicas
        if fallback is not None and not scaling.min_replicas <= fallback <= scaling.max_replicas:
            raise FieldError(
                f"{fallback} replicas of {endpoint.id} would serve while nothing measures the load, and there are "
                f"{scaling.min_replicas} to {scaling.max_replicas}",
                *(*path, "fallback_replicas"),
                fix=f"Say a number from {scaling.min_replicas} to {scaling.max_replicas}, or leave it out",
            )
        if scaling.min_replicas == 0:
            _may_sleep(platform, endpoint, scaling, path)
        elif scaling.min_replicas != endpoint.replicas:
            raise FieldError(
                f"at least {scaling.min_replicas} replicas of {endpoint.id}, and the plan has {endpoint.replicas}",
                *(*path, "min_replicas"),
                fix=f"Say {endpoint.replicas}, or change the plan",
            )


def _may_sleep(platform: Platform, endpoint: Endpoint, scaling: Scaling, path: Path) -> None:
    """Nobody is served while the first replica starts: only where every SLO takes that, and something wakes it."""
    here = (*path, "min_replicas")
    if endpoint.replicas != 1:
        what = f"none at times, and the plan counts on {endpoint.replicas} replicas of {endpoint.id}"
        raise FieldError(what, *here, fix=f"Say {endpoint.replicas}")
    if endpoint.survive != "none":
        what = f"{endpoint.id} must survive the loss of a {endpoint.survive}, and would be away at times"
        raise FieldError(what, *here, fix=f"Say {endpoint.replicas}")
    sent = [
        (gateway, workload)
        for gateway in platform.gateways
        for workload in gateway.workloads
        if endpoint.id == workload.endpoint
    ]
    if not sent:
        what = f"nothing would wake {endpoint.id}: requests of no workload are counted for it at a gateway"
        raise FieldError(what, *here, fix="Say 1")
    serious = [workload.name for _, workload in sent if workload.impact != "low"]
    if serious:
        what = f"{', '.join(serious)} may not wait for {endpoint.id} to start: their impact is not low"
        raise FieldError(what, *here, fix="Say 1")
    if scaling.cold_start_s is None or scaling.cold_start_s < endpoint.load_timeout_s:
        raise FieldError(
            f"callers get no answer for as long as {endpoint.id} takes to start, up to {endpoint.load_timeout_s} s",
            *(*path, "cold_start_s"),
            fix=f"Say `cold_start_s: {endpoint.load_timeout_s}` where the SLO allows it, or at least 1 replica",
        )


def weights_can_be_fetched(platform: Platform) -> None:
    """`s3://` has a store and a cache, and something that fetches; the store lies where the class may reach."""
    kinds = {site.name: site.kind for site in platform.sites}
    for index, endpoint in enumerate(platform.endpoints):
        weights, path = endpoint.weights, ("endpoints", index, "weights")
        if weights is None or endpoint.target == "sagemaker":
            continue  # SageMaker fetches for itself
        from_s3 = weights.uri.startswith("s3://")
        if from_s3 and weights.uri.endswith("/"):
            fix = "Leave the slash at the end out: a prefix is fetched, with all below it"
            raise FieldError(
                f"the weights of {endpoint.id} lie under no prefix of that form", *path, "uri", fix=fix
            )
        for key in ("store", "cache"):
            if (getattr(weights, key) is not None) != from_s3:
                what = f"the weights of {endpoint.id} come from {weights.uri.partition(':')[0]}"
                told = f"{what} and name no {key}" if from_s3 else f"{what}, which takes no {key}"
                raise FieldError(told, *path, key, fix=f"Add `{key}`" if from_s3 else "Leave it out")
        if not from_s3 or weights.store is None:
            continue
        if weights.cache is not None and weights.cache.node_path is not None and endpoint.pool is None:
            what = f"{endpoint.id} is on no pool, so no machines are known whose disks could hold its weights"
            fix = "Name a `storage_class` in its place, or a pool"
            raise FieldError(what, *path, "cache", "node_path", fix=fix)
        if weights.volume is not None:
            raise FieldError(
                "what is fetched goes into the cache's own volume", *path, "volume", fix="Leave it out"
            )
        if platform.images.translator is None:
            what = f"the weights of {endpoint.id} are fetched by the translator's image, and none is named"
            raise FieldError(what, "images", "translator")
        _within_reach(platform, endpoint, weights.store.address, (*path, "store", "address"), kinds)


def _within_reach(
    platform: Platform, endpoint: Endpoint, text: str, path: Path, kinds: dict[str, str]
) -> None:
    from isthmus.contracts.platform.rules.boundaries import NAMED_WAYS_ONLY

    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise FieldError(f"`{text}` is not an address", *path) from None
    if endpoint.class_ not in NAMED_WAYS_ONLY:
        return
    only = ("on-prem",) if endpoint.class_ == "restricted" else ("on-prem", "aws")
    listed = [cidr for site in platform.sites if kinds[site.name] in only for cidr in site.cidrs]
    if not any(address in ipaddress.IPv4Network(cidr) for cidr in listed):
        raise FieldError(
            f"{endpoint.class_} work would fetch its weights from `{text}`, outside the sites' own networks",
            *path,
            fix=f"Name an address within {', '.join(listed) or 'the networks of a site'}",
            refused=True,
        )


def canaries_are_alike(platform: Platform) -> None:
    """A canary serves what its primary does: there, at the gateway's site, on vLLM, for the same task and adapter."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            if workload.canary is None:
                continue
            path = ("gateways", index, "workloads", number, "canary", "endpoint")
            name = workload.canary.endpoint
            why = unlike(gateway, workload, endpoints[workload.endpoint], endpoints[name])
            if why:
                raise FieldError(f"{name} cannot be the canary of {workload.name}: {why}", *path)


def unlike(gateway: Gateway, workload: Workload, primary: Endpoint, canary: Endpoint) -> str:
    """Why one endpoint cannot serve a workload as another does; empty where it can."""
    if canary.id == primary.id or canary.id in workload.overflow:
        return "it serves the workload already"
    for each in (primary, canary):
        if each.target not in VLLM_TARGETS or each.site != gateway.site:
            return f"{each.id} runs on {each.target} at {each.site}, and both must be model servers at {gateway.site}"
    if canary.task != primary.task:
        return f"its task is {canary.task}, and that of {primary.id} {primary.task}"
    if workload.adapter and workload.adapter not in [adapter.name for adapter in canary.adapters]:
        return f"it has no adapter {workload.adapter}"
    return ""


def engines_can_do_it(platform: Platform) -> None:
    """Task, guessing ahead and prefix cache are such that the endpoint's engine can do them together."""
    for index, endpoint in enumerate(platform.endpoints):
        path, guesses = ("endpoints", index), endpoint.speculative
        if endpoint.target not in VLLM_TARGETS:
            for key, usual in (("task", "chat"), ("speculative", None), ("prefix_cache", "shared")):
                if getattr(endpoint, key) != usual:
                    raise FieldError(
                        f"`{key}` is vLLM's, and {endpoint.id} runs on {endpoint.target}", *path, key
                    )
            for key in ("model_family", "tool_call_parser", "reasoning_parser", "chat_template"):
                if endpoint.target == "bedrock" and getattr(endpoint, key) is not None:
                    what = f"`{key}` is vLLM's, and {endpoint.id} runs on Amazon Bedrock"
                    raise FieldError(what, *path, key, fix="Leave it out: Bedrock reads tool calls itself")
            continue
        if endpoint.task not in WRITES and endpoint.prefix_cache == "salted":
            what = f"a request for {endpoint.task} takes no salt"
            raise FieldError(what, *path, "prefix_cache", fix="Say `off`, or `shared`")
        if guesses is None:
            continue
        if endpoint.task not in WRITES:
            raise FieldError(f"{endpoint.id} writes no text to guess ahead", *path, "speculative")
        if endpoint.nodes_per_replica > 1:
            what = "vLLM guesses ahead within one machine only (no pipeline parallelism)"
            raise FieldError(what, *path, "speculative", fix="Leave it out, or say `nodes_per_replica: 1`")
        if (guesses.method in GUESSES_BY_WEIGHTS) != (guesses.path is not None):
            what = f"`{guesses.method}` needs the path of its own weights"
            told = (
                what
                if guesses.method in GUESSES_BY_WEIGHTS
                else f"`{guesses.method}` has no weights of its own"
            )
            raise FieldError(told, *path, "speculative", "path")
        for number, argument in enumerate(endpoint.engine_args):
            if argument.startswith("--spec"):
                what = f"`{argument.partition('=')[0]}` is said by `speculative` already"
                raise FieldError(what, *path, "engine_args", number, fix="Leave one out")


def compile_caches_have_a_place(platform: Platform) -> None:
    """What is compiled is kept on a disk or in a volume that the endpoint has."""
    for index, endpoint in enumerate(platform.endpoints):
        cache, path = endpoint.compile_cache, ("endpoints", index, "compile_cache")
        if cache is None:
            continue
        if endpoint.target not in VLLM_TARGETS:
            what = f"`compile_cache` is of pods, and {endpoint.id} runs on {endpoint.target}"
            raise FieldError(what, *path, fix="Leave it out")
        kept = endpoint.weights.cache if endpoint.weights is not None else None
        if cache.place == "node" and (kept is None or kept.node_path is None):
            what = f"no folder on the machines' disks is known for {endpoint.id}"
            raise FieldError(what, *path, "place", fix="State `weights.cache.node_path`, or `place: volume`")
        if cache.place == "volume" and not (cache.storage_class or (kept is not None and kept.storage_class)):
            what = f"no storage class is known for what {endpoint.id} compiles"
            raise FieldError(
                what, *path, "storage_class", fix="State one whose volumes many machines can mount"
            )


def cpus_are_for_development(platform: Platform) -> None:
    """An engine on CPUs serves work that nothing hangs on, alone on a machine, and asks for no GPU."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.engine != "cpu":
            continue
        path = ("endpoints", index)
        if endpoint.target != "onprem-vllm":
            raise FieldError(
                f"{endpoint.id} runs on {endpoint.target}, not on CPUs of a site", *path, "engine"
            )
        if endpoint.class_ not in DEVELOPED_WITH:
            what = f"{endpoint.class_} work is not served by an engine for development"
            raise FieldError(what, *path, "engine", fix="Say `gpu` and a pool", refused=True)
        for key, only in _ON_CPUS.items():
            if getattr(endpoint, key) != only:
                told = "leave it out" if only is None else f"say {only}"
                what = f"`{key}` is {getattr(endpoint, key)}, and {endpoint.id} runs on CPUs"
                raise FieldError(what, *path, key, fix=told[0].upper() + told[1:])
        if platform.images.vllm_cpu is None:
            raise FieldError(
                f"{endpoint.id} runs on CPUs, and no image for them is named", "images", "vllm_cpu"
            )


def routers_fit(platform: Platform) -> None:
    """A router opens what it passes on: not for restricted work. It changes no request, so versions share a name."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    routed = set()
    for index, gateway in enumerate(platform.gateways):
        if gateway.router is None:
            continue
        path = ("gateways", index)
        if gateway.class_ == "restricted":
            what = "a router would open restricted requests, and they are opened by our own programs only"
            raise FieldError(
                what, *path, "router", fix="Leave it out: the gateway splits by itself", refused=True
            )
        routed.add((gateway.class_, gateway.site))
        for number, workload in enumerate(gateway.workloads):
            names = {workload.adapter or endpoints[name].model for name in workload.awaited}
            if len(names) > 1:
                raise FieldError(
                    f"a router sends the same request to both, and they are asked for as {' and '.join(sorted(names))}",
                    *(*path, "workloads", number, "canary"),
                    fix="Serve the new version under the same `model`, or leave the router out",
                )
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.picker is not None and (endpoint.class_, endpoint.site) not in routed:
            what = (
                f"nothing would ask the picker of {endpoint.id}: class {endpoint.class_} has no router there"
            )
            raise FieldError(what, *("endpoints", index, "picker"), fix="Add `router` to the class's gateway")


CHECKS: tuple[Rule, ...] = (
    cpus_are_for_development,
    routers_fit,
    scaling_is_possible,
    weights_can_be_fetched,
    compile_caches_have_a_place,
    canaries_are_alike,
    engines_can_do_it,
)
