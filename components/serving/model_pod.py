"""Builds the pod of a model server: vLLM on loopback, and the edge as a sidecar in front of it."""

from typing import Any

from components.cluster.objects import ENGINE_PORT, GPU_TOLERATION
from components.cluster.pod_defaults import (
    POD_SECURITY,
    TMP_VOLUME,
    container_security,
    edge_container,
    edge_probes,
    edge_volumes,
    guaranteed_resources,
    no_dns,
    pod_spec,
    priority_fields,
)
from components.serving.arguments import ModelServerArgs
from components.serving.devices import device_claims, device_resources
from components.serving.node_selection import node_selector
from components.serving.placement import ZONE, group_placement, placement, probes_within
from components.serving.replica_groups import PORT_RANGE, Member, worker_probe
from components.serving.vllm_arguments import CACHE, ENVIRONMENT, SHUTDOWN_TIMEOUT_S, vllm_serve_arguments
from components.serving.weights import compile_cache
from components.serving.weights.verification import cache_claim, key_volume, verification, weights_mount
from isthmus.contracts.reference.model_profiles import SHARED_MEMORY_GIB, sidecar_millicores
from isthmus.core.errors import InputError

_ASKS_ENGINE = (
    f"import http.client; c = http.client.HTTPConnection('127.0.0.1', {ENGINE_PORT}, timeout=4); "
    "c.request('GET', '/health'); raise SystemExit(c.getresponse().status != 200)"
)
SIDECAR_MEMORY = "512Mi"
_DRAIN_S = 15
"""Seconds until every gateway has learned that the pod accepts no more requests."""
_SHARED_MEMORY = f"{SHARED_MEMORY_GIB}Gi"


def model_pod(
    args: ModelServerArgs,
    account: str,
    tls_secret: str,
    config_name: Any,
    selector: dict[str, str],
    member: Member | None = None,
) -> dict[str, Any]:
    """The spec of a pod that serves requests. `member`: for the leader of a multi-node group.

    The edge is a native sidecar of Kubernetes (an init container that keeps running). It starts before vLLM and
    ends after it, so that running answers are finished. Both have their own probes: a hung sidecar is restarted,
    while vLLM, whose start takes minutes, continues.
    """
    load = args.get("load_timeout_s", 1800)
    engine = _engine(args, member)
    engine |= {
        "startupProbe": engine_probe(10, probes_within(load, 10)),
        "readinessProbe": engine_probe(10, 3),
        "livenessProbe": engine_probe(20, 6),
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_S}}},
    }
    return pod_spec(
        account,
        [engine],
        [*edge_volumes(config_name, tls_secret, args.get("trust_bundle")), *_volumes(args)],
        grace_s=grace_period_s(args),
        pull_secrets=args.get("pull_secrets"),
        **priority_fields(args.get("pod_priority")),
        initContainers=[*verification(args), _sidecar(args)],
        **_placement_fields(args, selector, member),
    )


def worker_pod(
    args: ModelServerArgs, account: str, selector: dict[str, str], member: Member
) -> dict[str, Any]:
    """The spec of a worker pod in a multi-node group: vLLM only, without a listener.

    It gets its termination signal together with the leader, and continues until the leader has finished its
    answers.
    """
    load = args.get("load_timeout_s", 1800)
    engine = _engine(args, member)
    engine |= {
        "startupProbe": worker_probe(10, probes_within(load, 10)),
        "readinessProbe": worker_probe(10, 3),
        "livenessProbe": worker_probe(20, 6),
        "lifecycle": {"preStop": {"sleep": {"seconds": _DRAIN_S + args.get("drain_s", SHUTDOWN_TIMEOUT_S)}}},
    }
    checks = verification(args)
    return pod_spec(
        account,
        [engine],
        [*_volumes(args), *([TMP_VOLUME] if checks else [])],
        grace_s=grace_period_s(args),
        pull_secrets=args.get("pull_secrets"),
        **priority_fields(args.get("pod_priority")),
        **({"initContainers": checks} if checks else {}),
        **_placement_fields(args, selector, member),
    )


def _sidecar(args: ModelServerArgs) -> dict[str, Any]:
    """The edge's container. It is live while it responds, and ready while vLLM responds to it."""
    millicores = sidecar_millicores(args.get("max_num_seqs"))
    cpu = f"{millicores}m" if millicores % 1000 else str(millicores // 1000)
    return {
        **edge_container(
            "edge",
            args["edge_image"],
            [],
            guaranteed_resources(cpu, SIDECAR_MEMORY),
            has_trust_bundle="trust_bundle" in args,
        ),
        "restartPolicy": "Always",
        **edge_probes(),
    }


def engine_probe(period: int, failures: int) -> dict[str, Any]:
    """A probe of vLLM itself. vLLM listens on loopback, which kubelet cannot reach, so the container runs the
    probe.
    """
    return {
        "exec": {"command": ["python3", "-c", _ASKS_ENGINE]},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _engine(args: ModelServerArgs, member: Member | None) -> dict[str, Any]:
    """vLLM's container, without its probes."""
    fixed = {**ENVIRONMENT, **compile_cache.variables(args)}
    if member is not None:
        fixed.pop("VLLM_HOST_IP")  # groups use the pod network instead of loopback
    return {
        "name": "vllm",
        "image": args["vllm_image"],
        "command": ["vllm", "serve"],
        "args": vllm_serve_arguments(args, args["id"]) + (member.arguments() if member is not None else []),
        "env": [{"name": key, "value": value} for key, value in fixed.items()]
        + (member.environment() if member is not None else []),
        "volumeMounts": [
            weights_mount(args),
            {"name": "cache", "mountPath": CACHE},
            *compile_cache.mounts(args),
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 (a volume of the pod)
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108
        ],
        "resources": device_resources(args),
        "securityContext": container_security(read_only_root=False),
    }


def grace_period_s(args: ModelServerArgs) -> int:
    """Seconds until an ending pod is killed: the gateways' drain, running answers, and 5 to exit."""
    return _DRAIN_S + args.get("drain_s", SHUTDOWN_TIMEOUT_S) + 5


def _volumes(args: ModelServerArgs) -> list[dict[str, Any]]:
    return [
        weights_volume(args),
        *compile_cache.volumes(args),
        *key_volume(args),
        {"name": "cache", "emptyDir": {"sizeLimit": "20Gi"}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED_MEMORY}},
    ]


def _placement_fields(
    args: ModelServerArgs, selector: dict[str, str], member: Member | None
) -> dict[str, Any]:
    """Pod fields for placement and DNS, which is off."""
    if args.get("engine", "gpu") == "cpu":
        return no_dns()
    fields: dict[str, Any] = {
        "nodeSelector": node_selector(args),
        "tolerations": [GPU_TOLERATION],
        # It calls nobody, so it resolves no names.
        **no_dns(),
        **device_claims(args),
    }
    survive, domains = args.get("survive", "none"), args.get("failure_domains", 1)
    replicas, surge = args.get("replicas", 1), args.get("surge", False)
    if member is None:
        return fields | placement(
            survive,
            selector,
            replicas=replicas,
            failure_domains=domains,
            surge=surge,
            max_skew=args.get("max_skew", 1),
            domain=args.get("failure_domain_label", ZONE),
        )
    fields["hostAliases"] = member.aliases()
    fields["securityContext"] = {**POD_SECURITY, "sysctls": [PORT_RANGE]}
    return fields | group_placement(
        survive,
        selector,
        leads=member.leads,
        nodes=member.nodes,
        replicas=replicas,
        failure_domains=domains,
        surge=surge,
        domain=args.get("failure_domain_label", ZONE),
    )


def weights_volume(args: ModelServerArgs) -> dict[str, Any]:
    """A claim, or an image volume with the weights."""
    uri = args["weights"]["uri"]
    if uri.startswith("s3://"):
        return {
            "name": "weights",
            "persistentVolumeClaim": {"claimName": cache_claim(args), "readOnly": True},
        }
    if uri.startswith("pvc://"):
        claim = uri.removeprefix("pvc://").partition("/")[0]
        return {"name": "weights", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    if uri.startswith("oci://") and "@sha256:" in uri:
        reference = uri.removeprefix("oci://")
        return {"name": "weights", "image": {"reference": reference, "pullPolicy": "IfNotPresent"}}
    raise InputError(
        f"'{uri}' is not a valid location of weights",
        where=f"{args['id']}.weights.uri",
        fix="Write pvc://CLAIM[/PATH], oci://REFERENCE@sha256:DIGEST or s3://BUCKET/PREFIX",
    )
