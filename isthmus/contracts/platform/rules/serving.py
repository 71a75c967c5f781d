"""Rules for serving: scaling, weights, canaries, engine settings, compile caches, CPU engines and routers."""

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

TEXT_TASKS = ("chat", "guard")
"""Tasks whose endpoint writes text. They support chat requests, speculative decoding and cache salts."""
CPU_CLASSES = ("public", "internal")
"""Classes that an engine on CPUs may serve."""
_CPU_FIELDS = {
    **{"pool": None, "mig_profile": None, "tensor_parallel": 1, "nodes_per_replica": 1, "gpus": 0},
    **{"survive": "none", "surge": False, "speculative": None},
}
METHODS_WITH_WEIGHTS = ("draft_model", "eagle", "eagle3")
"""Methods of speculative decoding with weights of their own."""


def on_max_replicas(rule: Rule) -> Rule:
    """Run a rule on the platform with every scaled endpoint at max_replicas."""

    def wrapped(platform: Platform) -> None:
        rule(lookups_serving.at_max_replicas(platform))

    return wrapped


def scaling_is_complete(platform: Platform) -> None:
    """Scaling by load needs metrics and KEDA, and starts with the plan's replicas."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, scaling in enumerate(platform.scaling):
        path = ("scaling", index)
        if not scaling.by_load:
            continue
        endpoint = endpoints[scaling.endpoint]
        if endpoint.target not in VLLM_TARGETS:
            raise FieldError(
                f"endpoint {endpoint.id} runs on {endpoint.target}, which `scaling` does not support",
                *path,
                "endpoint",
                fix="Remove this entry, or use a model server",
            )
        if endpoint.nodes_per_replica > 1:
            raise FieldError(
                f"endpoint {endpoint.id} cannot be scaled by load, because a replica spans "
                f"{endpoint.nodes_per_replica} nodes "
                "and the number of replicas must be fixed",
                *(*path, "endpoint"),
                fix="Set min_replicas equal to max_replicas",
            )
        _check_measurements(platform, f"endpoint {endpoint.id}")
        fallback = scaling.fallback_replicas
        if fallback is not None and not scaling.min_replicas <= fallback <= scaling.max_replicas:
            raise FieldError(
                f"fallback_replicas of {endpoint.id} is {fallback}, but must be from {scaling.min_replicas} to "
                f"{scaling.max_replicas}",
                *(*path, "fallback_replicas"),
                fix=f"Set a number from {scaling.min_replicas} to {scaling.max_replicas}, or remove it",
            )
        if scaling.min_replicas == 0:
            _check_scale_to_zero(platform, endpoint, scaling, path)
        elif scaling.min_replicas != endpoint.replicas:
            raise FieldError(
                f"min_replicas of {endpoint.id} is {scaling.min_replicas}, but the plan has "
                f"{endpoint.replicas} replicas",
                *(*path, "min_replicas"),
                fix=f"Set min_replicas to {endpoint.replicas}, or change the plan",
            )


def gateways_scale_by_load(platform: Platform) -> None:
    """Scaling a gateway in a cluster needs metrics and KEDA."""
    for index, gateway in enumerate(platform.gateways):
        if gateway.max_replicas is None:
            continue
        path = ("gateways", index, "max_replicas")
        if gateway.max_replicas < gateway.replicas:
            raise FieldError(
                f"max_replicas of {gateway.name} is {gateway.max_replicas}, below its {gateway.replicas} replicas",
                *path,
                fix=f"Set it to more than {gateway.replicas}, or remove it",
            )
        if gateway.runs_on != "fargate":  # there AWS measures and scales
            _check_measurements(platform, f"gateway {gateway.name}")


def _check_measurements(platform: Platform, scaled: str) -> None:
    """Raise FieldError if KEDA cannot scale something by load. `scaled`: what it is, for the message."""
    if not platform.monitoring.prometheus_url:
        message = f"{scaled} is scaled by load, but monitoring.prometheus_url is not set"
        raise FieldError(
            message, "monitoring", "prometheus_url", fix="Set it to the Prometheus that KEDA queries"
        )
    if not platform.monitoring.pod_monitors:
        message = f"{scaled} is scaled by load, but monitoring.pod_monitors is false"
        raise FieldError(message, "monitoring", "pod_monitors", fix="Set `pod_monitors: true`")
    if platform.operators.keda != "existing":
        raise FieldError(
            f"{scaled} is scaled by load, but operators.keda is `{platform.operators.keda}`",
            "operators",
            "keda",
            fix="Install KEDA and set `keda: existing`; Isthmus does not install it",
        )


def _check_scale_to_zero(platform: Platform, endpoint: Endpoint, scaling: Scaling, path: Path) -> None:
    """min_replicas 0 is only for endpoints that requests can wake and whose callers may wait for a cold start."""
    min_path = (*path, "min_replicas")
    if endpoint.replicas != 1:
        message = (
            f"min_replicas is 0, but the plan needs {endpoint.replicas} replicas of {endpoint.id}, and only an "
            "endpoint with one replica may scale to zero"
        )
        raise FieldError(message, *min_path, fix=f"Set min_replicas to {endpoint.replicas}")
    if endpoint.survive != "none":
        message = f"min_replicas is 0, but {endpoint.id} must survive the loss of a {endpoint.survive}"
        raise FieldError(message, *min_path, fix=f"Set min_replicas to {endpoint.replicas}")
    callers = [
        (gateway, workload)
        for gateway in platform.gateways
        for workload in gateway.workloads
        if endpoint.id == workload.endpoint
    ]
    if not callers:
        message = (
            f"min_replicas is 0, but no workload of a gateway has {endpoint.id} as its `endpoint`, so no request would "
            "start it; a place in `also`, `overflow` or a canary does not"
        )
        raise FieldError(message, *min_path, fix="Set min_replicas to 1")
    impact_names = [workload.name for _, workload in callers if workload.impact != "low"]
    if impact_names:
        message = (
            f"{', '.join(impact_names)} may not wait for a start of {endpoint.id}, because their impact is not "
            "low"
        )
        raise FieldError(message, *min_path, fix="Set min_replicas to 1")
    if scaling.cold_start_s is None or scaling.cold_start_s < endpoint.load_timeout_s:
        raise FieldError(
            f"min_replicas is 0, and a start of {endpoint.id} can take {endpoint.load_timeout_s} s without answers",
            *(*path, "cold_start_s"),
            fix=f"Set `cold_start_s: {endpoint.load_timeout_s}` if the SLO allows it, or set min_replicas to 1",
        )


def weights_have_a_source(platform: Platform) -> None:
    """Weights from `s3://` have a store that the class may reach, a cache, and an image that fetches them."""
    kinds = {site.name: site.kind for site in platform.sites}
    for index, endpoint in enumerate(platform.endpoints):
        weights, path = endpoint.weights, ("endpoints", index, "weights")
        if weights is None or endpoint.target == "sagemaker":
            continue  # SageMaker fetches for itself
        from_s3 = weights.uri.startswith("s3://")
        if from_s3 and weights.uri.endswith("/"):
            fix = "Remove the slash at the end; everything below the prefix is fetched"
            raise FieldError(f"the weights uri of {endpoint.id} ends in a slash", *path, "uri", fix=fix)
        for key in ("store", "cache"):
            if (getattr(weights, key) is not None) != from_s3:
                message = f"the weights of {endpoint.id} come from {weights.uri.partition(':')[0]}"
                text = (
                    f"{message}, but have no {key}" if from_s3 else f"{message}, which does not support {key}"
                )
                keys = {
                    "store": "Add `store` with endpoint, address and credentials_secret",
                    "cache": "Add `cache` with storage_class (a shared volume) or node_path (a folder on each node)",
                }
                raise FieldError(text, *path, key, fix=keys[key] if from_s3 else f"Remove `{key}`")
        if not from_s3 or weights.store is None:
            continue
        if weights.cache is not None and weights.cache.node_path is not None and endpoint.pool is None:
            message = (
                f"endpoint {endpoint.id} has weights.cache.node_path, but no pool whose nodes could keep the "
                "weights"
            )
            fix = "Set `storage_class` instead, or set a pool"
            raise FieldError(message, *path, "cache", "node_path", fix=fix)
        if weights.volume is not None:
            raise FieldError(
                f"weights.volume of {endpoint.id} is set, but fetched weights use the cache's own volume",
                *path,
                "volume",
                fix="Remove `volume`",
            )
        if platform.images.translator is None:
            message = f"`images` has no translator, which fetches the weights of {endpoint.id}"
            fix = "Set `images.translator` to the image by digest"
            raise FieldError(message, "images", "translator", fix=fix)
        _check_store_address(platform, endpoint, weights.store.address, (*path, "store", "address"), kinds)


def _check_store_address(
    platform: Platform, endpoint: Endpoint, text: str, path: Path, kinds: dict[str, str]
) -> None:
    from isthmus.contracts.platform.rules.boundaries import NAMED_DESTINATIONS_ONLY

    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise FieldError(f"`{text}` is not an address", *path) from None
    if endpoint.class_ not in NAMED_DESTINATIONS_ONLY:
        return
    only = ("on-prem",) if endpoint.class_ == "restricted" else ("on-prem", "aws")
    listed = [cidr for site in platform.sites if kinds[site.name] in only for cidr in site.cidrs]
    if not any(address in ipaddress.IPv4Network(cidr) for cidr in listed):
        raise FieldError(
            f"endpoint {endpoint.id} of class {endpoint.class_} would fetch weights from `{text}`, outside "
            "allowed networks",
            *path,
            fix=f"Use an address within {', '.join(listed) or 'the networks of a site'}",
            refused=True,
        )


def canaries_match(platform: Platform) -> None:
    """A canary is a model server at the gateway's site with the task and adapter of the primary endpoint."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            if workload.canary is None:
                continue
            path = ("gateways", index, "workloads", number, "canary", "endpoint")
            name = workload.canary.endpoint
            why = mismatch(gateway, workload, endpoints[workload.endpoint], endpoints[name])
            if why:
                message = f"endpoint {name} cannot be the canary of workload {workload.name}: {why}"
                raise FieldError(message, *path, fix="Use a matching endpoint, or remove `canary`")


def releases_can_be_moved(platform: Platform) -> None:
    """A canary with steps has a gateway that reads moves from its database and knows who may sign them."""
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            if workload.canary is None or not workload.canary.steps:
                continue
            path = ("gateways", index, "workloads", number, "canary", "steps")
            if gateway.router is not None:
                message = f"a router splits the requests of {workload.name}, and no move changes its weights"
                raise FieldError(message, *path, fix="Set `percent` instead of `steps`, or remove `router`")
            if gateway.database is None:
                message = f"gateway {gateway.name} has no database, where people move the release of {workload.name}"
                raise FieldError(
                    message, *path, fix="Add `database` to the gateway, or set `percent` instead"
                )
            if not gateway.releasers:
                message = f"gateway {gateway.name} knows nobody who may move the release of {workload.name}"
                raise FieldError(
                    message, *path, fix="Add the people's public keys to the gateway's `releasers`"
                )
            if workload.impact == "high" and len({key.split(" ")[1] for key in gateway.releasers}) < 2:
                message = f"{workload.name} has high impact, so two people make a move, but one may release"
                raise FieldError(message, *path, fix="Add another person's key to the gateway's `releasers`")


def shadows_are_allowed(platform: Platform) -> None:
    """A gateway sends copies of requests only by itself, counts their outcomes, and pays by the token only if told."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            canary = workload.canary
            if canary is None or not canary.shadow_percent:
                continue
            why, fix = "", ""
            cost = endpoints[canary.endpoint].cost
            if gateway.router is not None:
                why, fix = "behind a router no copies are sent", "Remove `shadow_percent`, or remove `router`"
            elif gateway.database is None:
                why = f"gateway {gateway.name} has no database, where outcomes are counted"
                fix = "Set `database` of the gateway, or remove `shadow_percent`"
            elif cost is not None and cost.usd_per_million_tokens is not None and not canary.shadow_by_token:
                why = f"endpoint {canary.endpoint} is billed by the token, and each copy would be billed"
                fix = "Set `shadow_by_token: true`, or remove `shadow_percent`"
            if why:
                message = f"the canary of workload {workload.name} has a shadow, but {why}"
                path = ("gateways", index, "workloads", number, "canary", "shadow_percent")
                raise FieldError(message, *path, fix=fix)


def judges_are_of_the_gateway(platform: Platform) -> None:
    """Whoever judges a release's answers is another model of the same gateway, so of the same class and site."""
    for index, gateway in enumerate(platform.gateways):
        for number, workload in enumerate(gateway.workloads):
            if workload.canary is None or workload.canary.judge is None:
                continue
            name = workload.canary.judge.workload
            classes = {other.class_ for other in platform.gateways if name in _names(other)}
            why, fix = _judge_fault(platform, gateway, workload, name)
            if why:
                message = f"{name} cannot judge the answers of workload {workload.name}: {why}"
                path = ("gateways", index, "workloads", number, "canary", "judge", "workload")
                is_refused = bool(classes) and gateway.class_ not in classes
                raise FieldError(message, *path, fix=fix, refused=is_refused)


def _judge_fault(platform: Platform, gateway: Gateway, workload: Workload, name: str) -> tuple[str, str]:
    """Why a workload cannot judge another one's answers, and what to do; empty: it can."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    others = sorted(_names(gateway) - {workload.name})
    choose = f"Name a workload of {gateway.name}: {', '.join(others) or 'it has no other one; add one'}"
    judge = next((other for other in gateway.workloads if other.name == name), None)
    if judge is None:
        places = [f"{other.class_} at {other.site}" for other in platform.gateways if name in _names(other)]
        if not places:
            return "the platform has no workload of this name", choose
        return f"it is {', '.join(places)}, but {gateway.name} is {gateway.class_} at {gateway.site}", choose
    endpoint, own = endpoints[judge.endpoint], endpoints[workload.endpoint]
    canary = endpoints[workload.canary.endpoint] if workload.canary is not None else own
    if gateway.database is None:
        why = f"gateway {gateway.name} has no database, where scores are counted"
        return why, "Set `database` of the gateway, or remove `judge`"
    if gateway.router is not None:
        return "behind a router no answers are judged", "Remove `judge`, or remove `router`"
    if endpoint.target not in VLLM_TARGETS or endpoint.site != gateway.site:
        return f"{endpoint.id} is no model server at {gateway.site}", choose
    if (endpoint.task, own.task) != ("chat", "chat"):
        return f"both must chat, but {endpoint.id} is for {endpoint.task} and {own.id} for {own.task}", choose
    if endpoint.model in (own.model, canary.model) or endpoint.id in workload.endpoint_and_substitutes:
        return f"its model {endpoint.model} would judge its own answers", "Name a workload with another model"
    return "", ""


def _names(gateway: Gateway) -> set[str]:
    return {workload.name for workload in gateway.workloads}


def mismatch(gateway: Gateway, workload: Workload, primary: Endpoint, canary: Endpoint) -> str:
    """Why an endpoint cannot serve a workload in place of its primary one; empty if it can."""
    if canary.id == primary.id or canary.id in workload.overflow:
        return "it already serves the workload"
    for endpoint in (primary, canary):
        if endpoint.target not in VLLM_TARGETS or endpoint.site != gateway.site:
            return (
                f"{endpoint.id} runs on {endpoint.target} at {endpoint.site}, but both must be model "
                f"servers at {gateway.site}"
            )
    if canary.task != primary.task:
        return f"its task is {canary.task}, but the task of {primary.id} is {primary.task}"
    if workload.adapter and workload.adapter not in [adapter.name for adapter in canary.adapters]:
        return f"it has no adapter {workload.adapter}"
    return ""


def engine_settings_are_supported(platform: Platform) -> None:
    """Task, speculative decoding and prefix cache are supported by the endpoint's engine together."""
    for index, endpoint in enumerate(platform.endpoints):
        path, speculative = ("endpoints", index), endpoint.speculative
        if endpoint.target not in VLLM_TARGETS:
            for key, default in (("task", "chat"), ("speculative", None), ("prefix_cache", "shared")):
                if getattr(endpoint, key) != default:
                    raise FieldError(
                        f"endpoint {endpoint.id} runs on {endpoint.target}, which does not support `{key}`",
                        *path,
                        key,
                        fix=f"Remove `{key}`",
                    )
            for key in ("model_family", "tool_call_parser", "reasoning_parser", "chat_template"):
                if endpoint.target == "bedrock" and getattr(endpoint, key) is not None:
                    message = f"endpoint {endpoint.id} runs on Amazon Bedrock, which does not support `{key}`"
                    raise FieldError(
                        message, *path, key, fix=f"Remove `{key}`: Bedrock reads tool calls itself"
                    )
            continue
        if endpoint.task not in TEXT_TASKS and endpoint.prefix_cache == "salted":
            message = f"task {endpoint.task} does not support `prefix_cache: salted`"
            raise FieldError(message, *path, "prefix_cache", fix="Set `prefix_cache` to off or shared")
        if speculative is None:
            continue
        if endpoint.task not in TEXT_TASKS:
            message = f"task {endpoint.task} of {endpoint.id} does not support speculative decoding"
            raise FieldError(message, *path, "speculative", fix="Remove `speculative`")
        if endpoint.nodes_per_replica > 1:
            message = "vLLM supports speculative decoding on one node only (no pipeline parallelism)"
            raise FieldError(
                message, *path, "speculative", fix="Remove `speculative`, or set `nodes_per_replica: 1`"
            )
        if (speculative.method in METHODS_WITH_WEIGHTS) != (speculative.path is not None):
            message = f"speculative method `{speculative.method}` needs `path`, the path of its weights"
            text = (
                message
                if speculative.method in METHODS_WITH_WEIGHTS
                else f"speculative method `{speculative.method}` has no weights of its own, so `path` must be absent"
            )
            fix = "Add `path`" if speculative.method in METHODS_WITH_WEIGHTS else "Remove `path`"
            raise FieldError(text, *path, "speculative", "path", fix=fix)
        for number, argument in enumerate(endpoint.engine_args):
            if argument.startswith("--spec"):
                message = f"engine_args has `{argument.partition('=')[0]}`, but `speculative` is set too"
                raise FieldError(message, *path, "engine_args", number, fix="Remove one of them")


def compile_caches_have_storage(platform: Platform) -> None:
    """A compile cache has a node folder or a storage class."""
    for index, endpoint in enumerate(platform.endpoints):
        cache, path = endpoint.compile_cache, ("endpoints", index, "compile_cache")
        if cache is None:
            continue
        if endpoint.target not in VLLM_TARGETS:
            message = (
                f"endpoint {endpoint.id} runs on {endpoint.target}, which does not support `compile_cache`"
            )
            raise FieldError(message, *path, fix="Remove `compile_cache`")
        weights_cache = endpoint.weights.cache if endpoint.weights is not None else None
        if cache.place == "node" and (weights_cache is None or weights_cache.node_path is None):
            message = (
                f"compile_cache.place of {endpoint.id} is `node`, but weights.cache.node_path is not set"
            )
            raise FieldError(
                message, *path, "place", fix="Set `weights.cache.node_path`, or set `place: volume`"
            )
        if cache.place == "volume" and not (
            cache.storage_class or (weights_cache is not None and weights_cache.storage_class)
        ):
            message = f"compile_cache.place of {endpoint.id} is `volume`, but no storage_class is set"
            raise FieldError(
                message,
                *path,
                "storage_class",
                fix="Set one whose volumes many nodes can mount (ReadWriteMany)",
            )


def cpu_engines_are_for_development(platform: Platform) -> None:
    """CPU engines serve public and internal work for development, on-prem and without GPU settings."""
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.engine != "cpu":
            continue
        path = ("endpoints", index)
        if endpoint.target != "onprem-vllm":
            raise FieldError(
                f"endpoint {endpoint.id} has `engine: cpu`, which target {endpoint.target} does not support",
                *path,
                "engine",
                fix="Set `engine: gpu`, or use target onprem-vllm",
            )
        if endpoint.class_ not in CPU_CLASSES:
            message = (
                f"endpoint {endpoint.id} has `engine: cpu`, which is not allowed for {endpoint.class_} work"
            )
            raise FieldError(message, *path, "engine", fix="Set `engine: gpu` and a pool", refused=True)
        for key, required in _CPU_FIELDS.items():
            if getattr(endpoint, key) != required:
                fix = f"remove `{key}`" if required is None else f"set `{key}` to {required}"
                message = f"`{key}` is {getattr(endpoint, key)}, but endpoint {endpoint.id} runs on CPUs"
                raise FieldError(message, *path, key, fix=fix[0].upper() + fix[1:])
        if platform.images.vllm_cpu is None:
            raise FieldError(
                f"`images` has no vllm_cpu, which endpoint {endpoint.id} needs",
                *("images", "vllm_cpu"),
                fix="Set `images.vllm_cpu` to the image by digest",
            )


def routers_are_allowed(platform: Platform) -> None:
    """Routers decrypt requests, so restricted gateways have none. Endpoints behind a router share a model name."""
    endpoints = {endpoint.id: endpoint for endpoint in platform.endpoints}
    routed = set()
    for index, gateway in enumerate(platform.gateways):
        if gateway.router is None:
            continue
        path = ("gateways", index)
        if gateway.class_ == "restricted":
            message = "a router would decrypt restricted requests, which only Isthmus's own programs may do"
            raise FieldError(
                message,
                *path,
                "router",
                fix="Remove `router`: the gateway splits requests itself",
                refused=True,
            )
        routed.add((gateway.class_, gateway.site))
        for number, workload in enumerate(gateway.workloads):
            names = {workload.adapter or endpoints[name].model for name in workload.awaited}
            if len(names) > 1:
                raise FieldError(
                    f"endpoints of workload {workload.name} behind a router have different model names: "
                    f"{' and '.join(sorted(names))}",
                    *(*path, "workloads", number, "canary"),
                    fix="Serve the new version under the same `model`, or remove `router`",
                )
    for index, endpoint in enumerate(platform.endpoints):
        if endpoint.picker is not None and (endpoint.class_, endpoint.site) not in routed:
            message = f"endpoint {endpoint.id} has a picker, but the gateway of class {endpoint.class_} has no router"
            raise FieldError(
                message,
                *("endpoints", index, "picker"),
                fix="Add `router` to that gateway, or remove `picker`",
            )


CHECKS: tuple[Rule, ...] = (
    cpu_engines_are_for_development,
    routers_are_allowed,
    scaling_is_complete,
    gateways_scale_by_load,
    weights_have_a_source,
    compile_caches_have_storage,
    canaries_match,
    releases_can_be_moved,
    shadows_are_allowed,
    judges_are_of_the_gateway,
    engine_settings_are_supported,
)
