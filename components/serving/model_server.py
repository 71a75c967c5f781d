"""The component ModelServer: one model on one pool for one class. Only the gateway of its class can reach it."""

from typing import Any

import pulumi

from components.base.argument_checks import check_choice, check_sensitivity
from components.cluster.certificates import certificate
from components.cluster.edge_files import config_map, sidecar_config, with_trust_bundle
from components.cluster.objects import (
    SERVING_PORT,
    class_namespace,
    common_labels,
    dns_name,
    metadata,
    workload_selector,
)
from components.observability.pod_monitor import create_pod_monitor
from components.serving import autoscaling, inference_pool
from components.serving.arguments import ModelServerArgs
from components.serving.deployment import WorkloadParts, create_deployment, create_groups, deadline
from components.serving.devices import check_devices, device_objects
from components.serving.model_network import (
    ADDRESS,
    create_network_policy,
    create_replica_service,
    create_service,
)
from components.serving.replica_groups import LEADER_LABELS, check_nodes_per_replica
from components.serving.weights import cache as weight_cache
from components.serving.weights import compile_cache
from components.serving.weights.claims import create_claim
from isthmus.contracts.platform.rules.serving import CPU_CLASSES
from isthmus.contracts.reference import model_profiles
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.core.errors import FieldError, InputError, Refused


class ModelServer(pulumi.ComponentResource):
    """vLLM with a sidecar that accepts its class's gateway only. A Deployment, or a LeaderWorkerSet for multi-node
    replicas.
    """

    service: pulumi.Output[str]
    """DNS name and port with which the gateway calls it."""
    cluster_ip: pulumi.Output[str]
    """ClusterIP of its Service."""
    weights_digest: pulumi.Output[str]
    """Digest of the weights that it serves."""

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:ModelServer", name, dict(args), opts)
        endpoint = args["id"]
        sensitivity = check_sensitivity(args["sensitivity"], endpoint)
        check_choice(args.get("survive", "none"), SURVIVES, f"{endpoint}.survive")
        namespace = class_namespace(sensitivity)
        labels = common_labels(endpoint, sensitivity=sensitivity, role="model", endpoint=endpoint)
        selector = workload_selector(endpoint, sensitivity)
        nodes = check_nodes_per_replica(args.get("nodes_per_replica", 1), f"{endpoint}.nodes_per_replica")
        args = _checked(args, sensitivity)
        _warn_of_unknown_family(args, self)
        # The serving pods: in a multi-node group, the leader.
        serving_selector = {**selector, **LEADER_LABELS} if nodes > 1 else selector
        child = pulumi.ResourceOptions(parent=self)

        secret, dependencies = certificate(
            name,
            endpoint,
            namespace,
            labels,
            child,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=False,
        )
        sidecar = _sidecar_configuration(args, sensitivity, namespace)
        config = config_map(name, endpoint, namespace, labels, sidecar, child)
        claimed = create_claim(f"{name}-weights", args["weights"], namespace, labels, child)
        dependencies += [claimed] if claimed is not None else []
        dependencies += device_objects(name, args, namespace, labels, child)
        dependencies += weight_cache.create_cache(name, args, namespace, self)
        dependencies += compile_cache.claim(name, args, namespace, labels, self)
        dependencies += self._create_network(name, args, sensitivity, namespace, labels, serving_selector)
        dependencies += [self._account(name, args, namespace, labels), config]
        workload = WorkloadParts(name, args, namespace, labels, selector, secret, config, dependencies, self)
        if nodes > 1:
            create_groups(workload)
        else:
            create_deployment(workload)
        if args.get("pod_monitors", True):
            create_pod_monitor(
                name,
                endpoint,
                namespace,
                labels,
                serving_selector,
                child,
                monitor_labels=args.get("monitor_labels"),
            )

        self.service = pulumi.Output.from_input(f"{dns_name(endpoint, namespace)}:{SERVING_PORT}")
        self.weights_digest = pulumi.Output.from_input(args["weights"]["digest"])
        self.register_outputs(
            {"service": self.service, "cluster_ip": self.cluster_ip, "weights_digest": self.weights_digest}
        )

    def _create_network(
        self,
        name: str,
        args: ModelServerArgs,
        sensitivity: str,
        namespace: str,
        labels: dict[str, str],
        selector: dict[str, str],
    ) -> list[pulumi.Resource]:
        """Create Service and network policy, unless another stack does. Returns what the pods wait for."""
        if "door" in args:
            self.cluster_ip = pulumi.Output.from_input(args["door"]["cluster_ip"])
            return []
        child = pulumi.ResourceOptions(parent=self)
        inference_pool.create(name, args, namespace, labels, selector, child)
        policy = create_network_policy(name, args, sensitivity, namespace, labels, selector, self)
        # The Service is ready when a pod is, so it waits as long as the Deployment does. With 0 replicas it does
        # not wait.
        patience = f"{deadline(args) + 120}s"
        timeouts = pulumi.CustomTimeouts(create=patience, update=patience)
        options = pulumi.ResourceOptions(parent=self, custom_timeouts=timeouts)
        annotations = ADDRESS if autoscaling.can_scale_to_zero(args) else None
        service = create_service(name, args["id"], namespace, labels, selector, options, annotations)
        create_replica_service(name, args, namespace, labels, selector, child)
        self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        return [policy]

    def _account(
        self, name: str, args: ModelServerArgs, namespace: str, labels: dict[str, str]
    ) -> pulumi.Resource:
        from pulumi_kubernetes.core.v1 import ServiceAccount

        return ServiceAccount(
            f"{name}-account",
            metadata=metadata(args["id"], labels, namespace=namespace),
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _sidecar_configuration(args: ModelServerArgs, sensitivity: str, namespace: str) -> dict[str, Any]:
    """Configuration of the edge beside vLLM. Its clients are the class's gateway, and the router if there is one."""
    gateway = dns_name(f"{sensitivity}-gateway", namespace)
    clients = [gateway, *([dns_name(args["router"], namespace)] if "router" in args else [])]
    return with_trust_bundle(sidecar_config(sensitivity, clients), args.get("trust_bundle"))


def _checked(args: ModelServerArgs, sensitivity: str) -> ModelServerArgs:
    """The arguments with the defaults of the model's profile. Raises `InputError` or `Refused` for invalid ones."""
    check_devices(args)
    _check_hardware(args, sensitivity)
    args = _sized_by_profile(args)
    for module in (autoscaling, inference_pool, weight_cache):
        module.check(args)
    is_split = args.get("nodes_per_replica", 1) > 1 or args.get("tensor_parallel", 1) > 1
    if args.get("mig_profile") and is_split:
        raise InputError(
            "a replica on MIG slices uses exactly one slice",
            where=f"{args['id']}.mig_profile",
            fix="Set tensor_parallel and nodes_per_replica to 1, or use whole GPUs",
        )
    return args


def _sized_by_profile(args: ModelServerArgs) -> ModelServerArgs:
    """The arguments with defaults of the model's profile for CPU, memory and load timeout.

    Raises `InputError` for a family that does not exist.
    """
    if args.get("engine", "gpu") == "cpu":
        return args
    try:
        profile = model_profiles.requests_of(
            args["model"], args.get("tensor_parallel", 1), args.get("model_family")
        )
    except FieldError as error:
        raise InputError(error.what, where=f"{args['id']}.model_family", fix=error.fix) from None
    completed_args: Any = {**profile, **args}
    return completed_args


def _warn_of_unknown_family(args: ModelServerArgs, server: pulumi.Resource) -> None:
    """Warn if neither a profile nor an argument defines how to parse the model's tool calls and reasoning."""
    is_stated = args.get("tool_call_parser") or args.get("reasoning_parser") or args.get("model_family")
    if (
        args.get("task", "chat") != "chat"
        or is_stated
        or model_profiles.find_profile(args["model"]) is not None
    ):
        return
    pulumi.log.warn(model_profiles.unknown_family(args["id"], args["model"]), server)


def _check_hardware(args: ModelServerArgs, sensitivity: str) -> None:
    """Raise `InputError` without a GPU product, `Refused` for a class that may not run on CPUs."""
    where = f"{args['id']}.engine"
    if check_choice(args.get("engine", "gpu"), ("gpu", "cpu"), where) == "gpu":
        if not args.get("product"):
            raise InputError(
                "no GPU product is set", where=f"{args['id']}.product", fix="Set product, or engine: cpu"
            )
        return
    if sensitivity not in CPU_CLASSES:
        raise Refused(
            f"{sensitivity} work may not be served by a CPU engine, which is for development",
            where=where,
            fix="Set engine: gpu and a product",
        )
    for key in ("product", "pool", "mig_profile", "queue"):
        if args.get(key):
            raise InputError(
                f"an engine on CPUs cannot have {key}", where=f"{args['id']}.{key}", fix="Remove it"
            )
    if args.get("tensor_parallel", 1) > 1 or args.get("nodes_per_replica", 1) > 1:
        raise InputError(
            "an engine on CPUs cannot be split",
            where=where,
            fix="Set tensor_parallel and nodes_per_replica to 1",
        )
