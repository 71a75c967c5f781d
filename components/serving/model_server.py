"""One model on one pool for one class: vLLM behind mutual TLS, reached by its class's gateway only."""

import pulumi

from components.base.argument_checks import one_of, sensitivity
from components.cluster.certificates import certificate
from components.cluster.edge_files import config_map, sidecar_config, trusting
from components.cluster.objects import SERVING_PORT, class_namespace, dns_name, labels, metadata, selector
from components.observability.pod_monitor import pod_monitor
from components.serving import autoscaling, compile_cache, inference_pool
from components.serving.arguments import ModelServerArgs, sized_by_profile
from components.serving.deployment import Parts, deadline, deployment, groups
from components.serving.devices import check_devices, device_objects
from components.serving.model_network import ADDRESS, model_service, network
from components.serving.replica_groups import LEADS, nodes_of
from components.serving.weights import cache as weight_cache
from components.serving.weights.claims import claim
from isthmus.contracts.platform.rules.serving import DEVELOPED_WITH
from isthmus.contracts.reference import model_profiles
from isthmus.contracts.vocabulary import SURVIVES
from isthmus.core.errors import InputError, Refused


class ModelServer(pulumi.ComponentResource):
    """vLLM with a sidecar that lets its class's gateway in and no one else: a Deployment, or a LeaderWorkerSet
    where a replica spans machines."""

    service: pulumi.Output[str]
    """DNS name and port by which the gateway calls it."""
    cluster_ip: pulumi.Output[str]
    """Address of its Service."""
    weights_digest: pulumi.Output[str]
    """Digest of the weights that it serves."""

    def __init__(self, name: str, args: ModelServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:ModelServer", name, dict(args), opts)
        endpoint = args["id"]
        held = sensitivity(args["sensitivity"], endpoint)
        one_of(args.get("survive", "none"), SURVIVES, f"{endpoint}.survive")
        space = class_namespace(held)
        own = labels(endpoint, sensitivity=held, role="model", endpoint=endpoint)
        chosen = selector(endpoint, held)
        nodes = nodes_of(args.get("nodes_per_replica", 1), f"{endpoint}.nodes_per_replica")
        check_devices(args)
        _hardware(args, held)
        args = sized_by_profile(args)
        _warn_of_unknown_family(args, self)
        for each in (autoscaling, inference_pool, weight_cache):
            each.check(args)
        if args.get("mig_profile") and (nodes > 1 or args.get("tensor_parallel", 1) > 1):
            raise InputError(
                "a replica on slices has one of them",
                where=f"{endpoint}.mig_profile",
                fix="Say tensor_parallel 1 and nodes_per_replica 1, or whole GPUs",
            )
        # The pods that answer: of a group over several machines, the one that leads.
        serving = {**chosen, **LEADS} if nodes > 1 else chosen
        child = pulumi.ResourceOptions(parent=self)

        secret, before = certificate(
            name,
            endpoint,
            space,
            own,
            child,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=False,
        )
        gateway = dns_name(f"{held}-gateway", space)
        clients = [gateway, *([dns_name(args["router"], space)] if "router" in args else [])]
        config = config_map(
            name,
            endpoint,
            space,
            own,
            trusting(sidecar_config(held, clients), args.get("trust_bundle")),
            child,
        )
        claimed = claim(f"{name}-weights", args["weights"], space, own, child)
        before += [claimed] if claimed is not None else []
        before += device_objects(name, args, space, own, child)
        before += weight_cache.cached(name, args, space, self)
        before += compile_cache.claim(name, args, space, own, self)
        found = args.get("door")
        if found is None:
            inference_pool.make(name, args, space, own, serving, child)
            scraped = args["monitoring_namespace"]
            before.append(
                network(
                    name, endpoint, held, scraped, space, own, serving, self, inference_pool.ways_in(args)
                )
            )
            # It is ready when a pod is: it waits as long as the Deployment does. At times there is none to wait for.
            patience = f"{deadline(args) + 120}s"
            waits = pulumi.CustomTimeouts(create=patience, update=patience)
            options = pulumi.ResourceOptions(parent=self, custom_timeouts=waits)
            waited = ADDRESS if autoscaling.sleeps(args) else None
            service = model_service(name, endpoint, space, own, serving, options, waited)
            self.cluster_ip = service.spec.apply(lambda spec: spec.cluster_ip)
        else:
            self.cluster_ip = pulumi.Output.from_input(found["cluster_ip"])
        before += [self._account(name, args, space, own), config]
        parts = Parts(name, args, space, own, chosen, secret, config, before, self)
        if nodes > 1:
            groups(parts)
        else:
            deployment(parts)
        if args.get("pod_monitors", True):
            pod_monitor(name, endpoint, space, own, serving, child, monitor_labels=args.get("monitor_labels"))

        self.service = pulumi.Output.from_input(f"{dns_name(endpoint, space)}:{SERVING_PORT}")
        self.weights_digest = pulumi.Output.from_input(args["weights"]["digest"])
        self.register_outputs(
            {"service": self.service, "cluster_ip": self.cluster_ip, "weights_digest": self.weights_digest}
        )

    def _account(self, name: str, args: ModelServerArgs, space: str, own: dict[str, str]) -> pulumi.Resource:
        from pulumi_kubernetes.core.v1 import ServiceAccount

        return ServiceAccount(
            f"{name}-account",
            metadata=metadata(args["id"], own, namespace=space),
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )


def _warn_of_unknown_family(args: ModelServerArgs, server: pulumi.Resource) -> None:
    """Without a profile nobody knows how to read tool calls and reasoning, unless the user states it."""
    stated = args.get("tool_call_parser") or args.get("reasoning_parser") or args.get("model_family")
    if args.get("task", "chat") != "chat" or stated or model_profiles.find_profile(args["model"]) is not None:
        return
    pulumi.log.warn(model_profiles.unknown_family(args["id"], args["model"]), server)


def _hardware(args: ModelServerArgs, held: str) -> None:
    """Raises where it is not said which GPUs, or where CPUs may not do."""
    where = f"{args['id']}.engine"
    if one_of(args.get("engine", "gpu"), ("gpu", "cpu"), where) == "gpu":
        if not args.get("product"):
            raise InputError(
                "no GPU is named", where=f"{args['id']}.product", fix="Name its product, or engine cpu"
            )
        return
    if held not in DEVELOPED_WITH:
        raise Refused(
            f"{held} work is not served by an engine for development",
            where=where,
            fix="Say gpu and a product",
        )
    for key in ("product", "pool", "mig_profile", "queue"):
        if args.get(key):
            raise InputError(
                f"an engine on CPUs has no {key}", where=f"{args['id']}.{key}", fix="Leave it out"
            )
    if args.get("tensor_parallel", 1) > 1 or args.get("nodes_per_replica", 1) > 1:
        raise InputError(
            "an engine on CPUs is not split",
            where=where,
            fix="Say tensor_parallel 1 and nodes_per_replica 1",
        )
