"""Moves workloads to new endpoints: side by side if the GPUs suffice, otherwise only with consent.

Deployed endpoints are read from the state, so the result of an interrupted run counts. Endpoints that must go first are
scaled to zero by an extra step of the program (`UP_STEP`) that changes nothing else. Their gateway still routes to them
and answers 503, and their Service keeps its address. The engine deletes them at the end, when the new endpoints serve.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.platform.migration import messages as migration_messages
from isthmus.contracts.platform.migration.capacity import Move, Standing
from isthmus.contracts.vocabulary import PAUSED_REPLICAS_ANNOTATION, UP_ROOM, UP_STANDING, UP_STEP
from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal
from isthmus.core.pulumi_values import SIGNATURE
from isthmus.engine.automation.events import site_of

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.core.kubernetes_client import KubeClient
    from isthmus.engine.automation.events import Run, Watcher
    from isthmus.engine.automation.stack_engine import Engine

Say = Callable[[str], None]
_SERVER = "isthmus:index:ModelServer"
_HOSTED = "isthmus:index:SageMakerEndpoint"
_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
_WORKLOADS = (":Deployment", ":LeaderWorkerSet")
"""Workload types of a model server's pods."""
_SCALER = ":ScaledObject"
_FETCHER = ":DaemonSet"
_DEPLOYMENTS = "/apis/apps/v1/namespaces/{space}/deployments/{name}"
_GROUPS = "/apis/leaderworkerset.x-k8s.io/v1/namespaces/{space}/leaderworkersets/{name}"
_CLAIMS = "/api/v1/namespaces/{space}/persistentvolumeclaims/{name}"


@dataclass(frozen=True)
class _Server:
    """A model server in the state: the component, and the workload of its pods."""

    component: dict[str, Any]
    workload: dict[str, Any]
    scaler: dict[str, Any] | None = None
    """Its ScaledObject, if its replicas follow the load."""
    fetcher: dict[str, Any] | None = None
    """The DaemonSet that fetches its weights, if nodes cache them."""

    @property
    def fetchers(self) -> int:
        """Number of nodes that ran the fetcher at the last refresh."""
        status = ((self.fetcher or {}).get("outputs") or {}).get("status") or {}
        return int(status.get("desiredNumberScheduled", 0))

    @property
    def site(self) -> str:
        return site_of(self.workload.get("provider") or "")

    @property
    def replicas(self) -> int:
        """Replicas of the workload resource; a component's inputs are stored before its resources change.

        With autoscaling, the maximum; 0 while the ScaledObject is paused.
        """
        if self.scaler is not None:
            inputs = self.scaler.get("inputs") or {}
            is_paused = PAUSED_REPLICAS_ANNOTATION in (
                (inputs.get("metadata") or {}).get("annotations") or {}
            )
            return 0 if is_paused else int(inputs.get("spec", {}).get("maxReplicaCount", 1))
        return int((self.workload.get("inputs") or {}).get("spec", {}).get("replicas", 1))


def gpu_endpoints(state: dict[str, Any]) -> list[Standing]:
    """The endpoints on GPUs in a state, of whichever plan."""
    plan = stack_outputs(state).get("plan") or {}
    volumes = {
        (site_of(resource.get("provider") or ""), metadata.get("namespace"), metadata.get("name")): resource[
            "inputs"
        ]["spec"].get("volumeName")
        for resource in state.get("resources") or []
        if resource["type"] == _CLAIM and (metadata := resource["inputs"].get("metadata") or {})
    }
    endpoints = []
    for server in _servers(state):
        inputs = server.component.get("inputs") or {}
        sensitivity, uri = inputs.get("sensitivity", ""), (inputs.get("weights") or {}).get("uri", "")
        claim = uri.removeprefix("pvc://").partition("/")[0] if uri.startswith("pvc://") else None
        endpoints.append(
            Standing(
                id=inputs["id"],
                class_=sensitivity,
                site=server.site,
                pool=inputs.get("pool", ""),
                gpus=int(inputs.get("tensor_parallel", 1)),
                nodes=int(inputs.get("nodes_per_replica", 1)),
                replicas=server.replicas,
                survive=inputs.get("survive", "none"),
                cpu=inputs.get("cpu", "8"),
                memory=inputs.get("memory", "64Gi"),
                claim=claim,
                volume=volumes.get((server.site, f"isthmus-{sensitivity}", claim)),
                fetchers=server.fetchers,
                workloads=_served_workloads(plan, inputs["id"]),
            )
        )
    return endpoints


def confirm_in_clusters(endpoints: Sequence[Standing], reached: Mapping[str, KubeClient]) -> list[Standing]:
    """Correct endpoints of a state by what their clusters have, since the state may be older.

    An endpoint without its workload uses no GPU; without its claim it uses no volume.
    """
    confirmed = []
    for endpoint in endpoints:
        cluster, namespace = reached.get(endpoint.site), f"isthmus-{endpoint.class_}"
        if cluster is None:
            confirmed.append(endpoint)
            continue
        root = _GROUPS if endpoint.nodes > 1 else _DEPLOYMENTS
        try:
            workload = cluster.find(root.format(space=namespace, name=endpoint.id))
            claim = (
                cluster.find(_CLAIMS.format(space=namespace, name=endpoint.claim)) if endpoint.claim else None
            )
        except ApiRefusal as refused:
            raise EnvironmentFault(
                f"the cluster of context `{cluster.context}` refused a read of its workloads ({refused.reason})",
                fix="Check the credentials in the kubeconfig",
            ) from None
        changes: dict[str, Any] = {} if workload is not None else {"replicas": 0}
        changes |= {} if claim is not None else {"claim": None, "volume": None}
        if workload is not None or claim is not None:
            confirmed.append(endpoint.model_copy(update=changes))
    return confirmed


def sagemaker_endpoints(state: dict[str, Any]) -> list[Standing]:
    """The endpoints on SageMaker in a state, of whichever plan."""
    plan = stack_outputs(state).get("plan") or {}
    endpoints = []
    for resource in state.get("resources") or []:
        inputs = resource.get("inputs") or {}
        if resource["type"] != _HOSTED or not inputs.get("id"):
            continue
        endpoints.append(
            Standing(
                id=inputs["id"],
                class_=inputs.get("sensitivity", ""),
                site="",
                pool="",
                replicas=int(inputs.get("replicas", 1)),
                workloads=_served_workloads(plan, inputs["id"]),
            )
        )
    return endpoints


def _served_workloads(plan: dict[str, Any], endpoint: str) -> list[str]:
    """Workloads that an endpoint serves, from the plan in the stack's outputs."""
    return sorted(
        {
            placement["workload"]
            for placement in plan.get("placements") or []
            if placement["endpoint"] == endpoint
        }
    )


def check_allowed(move: Move, platform: Platform, stack: str, *, in_place: bool, say: Say) -> None:
    """Report what the move does, or raise `Refused` if it may not begin. Changes nothing."""
    refused = migration_messages.refusal(move, platform, stack, consent=in_place)
    if refused is not None:
        raise refused
    if move.first:
        say(
            f"{migration_messages.listed_ids(move.first)} is removed first (--replace-in-place):"
            f" {migration_messages.outage_text(move, platform)}"
        )
    if move.beside:
        say(
            f"{migration_messages.listed_ids(move.beside)} serves until the new endpoints are ready, and is "
            "removed then"
        )


@contextlib.contextmanager
def shared_with_program(endpoints: Sequence[Standing]) -> Iterator[None]:
    """Pass the deployed endpoints to the program (environment variable `UP_STANDING`)."""
    os.environ[UP_STANDING] = json.dumps([endpoint.model_dump() for endpoint in endpoints])
    try:
        yield
    finally:
        del os.environ[UP_STANDING]


def make_room(engine: Engine, state: dict[str, Any], move: Move, watcher: Watcher | None) -> Run:
    """Scale endpoints that must go first to zero, and change nothing else."""
    names = {endpoint.id for endpoint in move.first}
    servers = [
        server for server in _servers(state) if (server.component.get("inputs") or {}).get("id") in names
    ]
    touched_urns = {
        resource["urn"]
        for server in servers
        for resource in (server.component, server.workload, server.scaler)
        if resource is not None
    }
    excluded_urns = [
        resource["urn"]
        for resource in state.get("resources") or []
        if resource["urn"] not in touched_urns
        and not resource["type"].startswith(("pulumi:", "isthmus:index:LlmPlatform"))
    ]
    endpoints = [
        endpoint.model_copy(update={"replicas": 0}) if endpoint.id in names else endpoint
        for endpoint in gpu_endpoints(state)
    ]
    outputs = {
        **stack_outputs(state),
        migration_capacity.STANDING_OUTPUT: [server.model_dump() for server in endpoints],
    }
    os.environ[UP_STEP] = "room"
    os.environ[UP_ROOM] = json.dumps(
        {
            # Without outputs in this step, the outputs of the last run would be lost.
            "outputs": {name: value for name, value in outputs.items() if SIGNATURE not in json.dumps(value)},
            "servers": [
                {
                    "site": endpoint.site,
                    "name": _logical_name(endpoint.component),
                    "inputs": endpoint.component.get("inputs") or {},
                    "type": endpoint.workload["type"],
                    "workload": _logical_name(endpoint.workload),
                    "body": endpoint.workload["inputs"],
                    "scaler": None
                    if endpoint.scaler is None
                    else {
                        "type": endpoint.scaler["type"],
                        "name": _logical_name(endpoint.scaler),
                        "body": endpoint.scaler["inputs"],
                    },
                }
                for endpoint in servers
            ],
        }
    )
    try:
        return engine.up(watcher, exclude=excluded_urns)
    finally:
        del os.environ[UP_STEP], os.environ[UP_ROOM]


def _servers(state: dict[str, Any]) -> list[_Server]:
    resources = [resource for resource in state.get("resources") or [] if not resource.get("delete")]
    components = {resource["urn"]: resource for resource in resources if resource["type"] == _SERVER}
    scalers = {
        resource.get("parent"): resource for resource in resources if resource["type"].endswith(_SCALER)
    }
    fetchers = {
        resource.get("parent"): resource for resource in resources if resource["type"].endswith(_FETCHER)
    }
    return [
        _Server(
            components[resource["parent"]],
            resource,
            scalers.get(resource["parent"]),
            fetchers.get(resource["parent"]),
        )
        for resource in resources
        if resource["type"].endswith(_WORKLOADS)
        and resource.get("parent") in components
        and resource.get("id")
        and (components[resource["parent"]].get("inputs") or {}).get("id")
    ]


def stack_outputs(state: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a stack in its state."""
    root = (
        resource for resource in state.get("resources") or [] if resource["type"] == "pulumi:pulumi:Stack"
    )
    return next(root, {}).get("outputs") or {}


def _logical_name(resource: dict[str, Any]) -> str:
    return resource["urn"].split("::", 3)[-1]
