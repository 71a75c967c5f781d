"""A plan that moves workloads, as `isthmus up` builds it: side by side where there is room, else by consent.

What stands is read from the state, so that a run that was cut off is seen as it was left. Endpoints that must go
first are not deleted then but scaled to none, by a step of the program (`UP_STEP`) that leaves all else as it is:
their gateway still points at them and answers 503, and their Service keeps its address, which no other can get.
They are deleted where the engine deletes, at the end, when their successors serve.
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
from isthmus.contracts.vocabulary import PAUSED, UP_ROOM, UP_STANDING, UP_STEP
from isthmus.core.errors import EnvironmentFault
from isthmus.core.pulumi_values import SIGNATURE
from isthmus.engine.automation.events import site_of
from isthmus.engine.kubernetes.client import ApiRefusal

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.automation.events import Run, Watcher
    from isthmus.engine.automation.stack_engine import Engine
    from isthmus.engine.kubernetes.client import Cluster

Say = Callable[[str], None]
_SERVER = "isthmus:index:ModelServer"
_HOSTED = "isthmus:index:SageMakerEndpoint"
_CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
_WORKLOADS = (":Deployment", ":LeaderWorkerSet")
"""What holds a model server's pods."""
_SCALER = ":ScaledObject"
_FETCHER = ":DaemonSet"
_DEPLOYMENTS = "/apis/apps/v1/namespaces/{space}/deployments/{name}"
_GROUPS = "/apis/leaderworkerset.x-k8s.io/v1/namespaces/{space}/leaderworkersets/{name}"
_CLAIMS = "/api/v1/namespaces/{space}/persistentvolumeclaims/{name}"


@dataclass(frozen=True)
class _Server:
    """A model server in the state: the component, and what holds its pods."""

    component: dict[str, Any]
    workload: dict[str, Any]
    scaler: dict[str, Any] | None = None
    """Its ScaledObject, where its replicas follow the load."""
    fetcher: dict[str, Any] | None = None
    """The DaemonSet that fetches its weights, where machines keep them."""

    @property
    def fetchers(self) -> int:
        """Machines on which it stood when the engine last looked."""
        status = ((self.fetcher or {}).get("outputs") or {}).get("status") or {}
        return int(status.get("desiredNumberScheduled", 0))

    @property
    def site(self) -> str:
        return site_of(self.workload.get("provider") or "")

    @property
    def replicas(self) -> int:
        """As the engine last made it: a component's own inputs are stored before its parts are changed.

        Where they follow the load, the most that there can be; none while KEDA is told to keep it so.
        """
        if self.scaler is not None:
            given = self.scaler.get("inputs") or {}
            asleep = PAUSED in ((given.get("metadata") or {}).get("annotations") or {})
            return 0 if asleep else int(given.get("spec", {}).get("maxReplicaCount", 1))
        return int((self.workload.get("inputs") or {}).get("spec", {}).get("replicas", 1))


def standing(state: dict[str, Any]) -> list[Standing]:
    """The endpoints on GPUs that a state holds, whatever plan they are of."""
    plan = outputs_of(state).get("plan") or {}
    volumes = {
        (site_of(each.get("provider") or ""), meta.get("namespace"), meta.get("name")): each["inputs"][
            "spec"
        ].get("volumeName")
        for each in state.get("resources") or []
        if each["type"] == _CLAIM and (meta := each["inputs"].get("metadata") or {})
    }
    found = []
    for server in _servers(state):
        given = server.component.get("inputs") or {}
        class_, uri = given.get("sensitivity", ""), (given.get("weights") or {}).get("uri", "")
        claim = uri.removeprefix("pvc://").partition("/")[0] if uri.startswith("pvc://") else None
        found.append(
            Standing(
                id=given["id"],
                class_=class_,
                site=server.site,
                pool=given.get("pool", ""),
                gpus=int(given.get("tensor_parallel", 1)),
                nodes=int(given.get("nodes_per_replica", 1)),
                replicas=server.replicas,
                survive=given.get("survive", "none"),
                cpu=given.get("cpu", "8"),
                memory=given.get("memory", "64Gi"),
                claim=claim,
                volume=volumes.get((server.site, f"isthmus-{class_}", claim)),
                fetchers=server.fetchers,
                workloads=_workloads(plan, given["id"]),
            )
        )
    return found


def there(found: Sequence[Standing], reached: Mapping[str, Cluster]) -> list[Standing]:
    """Of those that a state holds, what its cluster has: a state may be older than the cluster that answers.

    Without its pods' workload an endpoint holds no GPU, without its claim no volume.
    """
    made = []
    for each in found:
        one, space = reached.get(each.site), f"isthmus-{each.class_}"
        if one is None:
            made.append(each)
            continue
        root = _GROUPS if each.nodes > 1 else _DEPLOYMENTS
        try:
            works = one.find(root.format(space=space, name=each.id))
            claims = one.find(_CLAIMS.format(space=space, name=each.claim)) if each.claim else None
        except ApiRefusal as refused:
            raise EnvironmentFault(
                f"the cluster of context `{one.context}` refuses to be asked what stands ({refused})",
                fix="Check the credentials in the kubeconfig",
            ) from None
        gone: dict[str, Any] = {} if works is not None else {"replicas": 0}
        gone |= {} if claims is not None else {"claim": None, "volume": None}
        if works is not None or claims is not None:
            made.append(each.model_copy(update=gone))
    return made


def hosted(state: dict[str, Any]) -> list[Standing]:
    """The endpoints on SageMaker that a state holds, whatever plan they are of."""
    plan = outputs_of(state).get("plan") or {}
    found = []
    for each in state.get("resources") or []:
        given = each.get("inputs") or {}
        if each["type"] != _HOSTED or not given.get("id"):
            continue
        found.append(
            Standing(
                id=given["id"],
                class_=given.get("sensitivity", ""),
                site="",
                pool="",
                replicas=int(given.get("replicas", 1)),
                workloads=_workloads(plan, given["id"]),
            )
        )
    return found


def _workloads(plan: dict[str, Any], endpoint: str) -> list[str]:
    """Whom an endpoint serves, by the plan in a state's outputs."""
    return sorted({each["workload"] for each in plan.get("placements") or [] if each["endpoint"] == endpoint})


def allow(move: Move, platform: Platform, stack: str, *, in_place: bool, say: Say) -> None:
    """Say what the move does, or raise why it may not begin. Nothing is changed."""
    refused = migration_messages.refusal(move, platform, stack, consent=in_place)
    if refused is not None:
        raise refused
    if move.first:
        say(
            f"{migration_messages.ids(move.first)} goes first, as asked: {migration_messages.price(move, platform)}"
        )
    if move.beside:
        say(
            f"{migration_messages.ids(move.beside)} serves until the new plan's endpoints do, and goes after that"
        )


@contextlib.contextmanager
def told(stands: Sequence[Standing]) -> Iterator[None]:
    """Have the program know what stands."""
    os.environ[UP_STANDING] = json.dumps([each.model_dump() for each in stands])
    try:
        yield
    finally:
        del os.environ[UP_STANDING]


def make_room(engine: Engine, state: dict[str, Any], move: Move, watcher: Watcher | None) -> Run:
    """Scale to none what must go first, and leave everything else as it is."""
    names = {each.id for each in move.first}
    servers = [each for each in _servers(state) if (each.component.get("inputs") or {}).get("id") in names]
    touched = {
        part["urn"]
        for each in servers
        for part in (each.component, each.workload, each.scaler)
        if part is not None
    }
    others = [
        each["urn"]
        for each in state.get("resources") or []
        if each["urn"] not in touched
        and not each["type"].startswith(("pulumi:", "isthmus:index:LlmPlatform"))
    ]
    stands = [
        each.model_copy(update={"replicas": 0}) if each.id in names else each for each in standing(state)
    ]
    outputs = {**outputs_of(state), migration_capacity.STANDING: [each.model_dump() for each in stands]}
    os.environ[UP_STEP] = "room"
    os.environ[UP_ROOM] = json.dumps(
        {
            # A run whose program says nothing of itself would forget what the last one said.
            "outputs": {name: value for name, value in outputs.items() if SIGNATURE not in json.dumps(value)},
            "servers": [
                {
                    "site": each.site,
                    "name": _name(each.component),
                    "inputs": each.component.get("inputs") or {},
                    "type": each.workload["type"],
                    "workload": _name(each.workload),
                    "body": each.workload["inputs"],
                    "scaler": None
                    if each.scaler is None
                    else {
                        "type": each.scaler["type"],
                        "name": _name(each.scaler),
                        "body": each.scaler["inputs"],
                    },
                }
                for each in servers
            ],
        }
    )
    try:
        return engine.up(watcher, exclude=others)
    finally:
        del os.environ[UP_STEP], os.environ[UP_ROOM]


def _servers(state: dict[str, Any]) -> list[_Server]:
    resources = [each for each in state.get("resources") or [] if not each.get("delete")]
    components = {each["urn"]: each for each in resources if each["type"] == _SERVER}
    scalers = {each.get("parent"): each for each in resources if each["type"].endswith(_SCALER)}
    fetchers = {each.get("parent"): each for each in resources if each["type"].endswith(_FETCHER)}
    return [
        _Server(components[each["parent"]], each, scalers.get(each["parent"]), fetchers.get(each["parent"]))
        for each in resources
        if each["type"].endswith(_WORKLOADS)
        and each.get("parent") in components
        and each.get("id")
        and (components[each["parent"]].get("inputs") or {}).get("id")
    ]


def outputs_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a stack said of itself when it was last built."""
    root = (each for each in state.get("resources") or [] if each["type"] == "pulumi:pulumi:Stack")
    return next(root, {}).get("outputs") or {}


def _name(resource: dict[str, Any]) -> str:
    return resource["urn"].split("::", 3)[-1]
