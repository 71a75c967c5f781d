"""Whether a Kubernetes object exists whose creation was cut off, and whether it is the one that we began.

Asked of the API server by kind, namespace and name: names are among the inputs, also those that were made
up. The provider of January 2026 creates by upsert, later ones are refused with AlreadyExists; an object that
is found is taken into the state, so neither gets to create it a second time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.engine.kubernetes.client import ApiRefusal, Cluster, cluster
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict

MANAGER = "pulumi-kubernetes-"
"""What the names of the provider's field managers begin with; the rest is random, one for each resource."""
GOING_S = 60.0
"""How long an object that is being deleted may take to leave."""
SKEW = timedelta(seconds=60)
"""How far a server's clock may be from ours."""


def cluster_of(provider: dict[str, Any]) -> Cluster:
    """The cluster that a provider's entry in the state names, by its context and its kubeconfig's path."""
    inputs = provider.get("inputs") or {}
    named = inputs.get("kubeconfig")
    environment = dict(os.environ)
    if isinstance(named, str) and "\n" not in named and Path(named).expanduser().is_file():
        environment["KUBECONFIG"] = str(Path(named).expanduser())
    context = inputs.get("context")
    if not isinstance(context, str):
        raise EnvironmentFault(
            f"provider {provider['urn'].rpartition('::')[2]} names no context, so its cluster is not known",
            fix="Name the context in the program's provider",
        )
    return cluster(context, environment)


def look(
    creation: Creation,
    one: Cluster,
    *,
    known: Iterable[str] = (),
    since: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Verdict:
    """The object's fate. `known` are the field managers that the state holds; `since` as RFC 3339.

    Raises `EnvironmentFault` where the API server does not answer, or the object does not end leaving.
    """
    inputs = creation.inputs
    metadata = inputs.get("metadata") or {}
    kind, version, name = inputs.get("kind"), inputs.get("apiVersion"), metadata.get("name")
    if not (isinstance(kind, str) and isinstance(version, str) and isinstance(name, str)):
        return Unknown(
            f"{creation.type} `{creation.name}`, whose recorded inputs name no object",
            f"kubectl --context {one.context} get all -A -l app.kubernetes.io/part-of=isthmus",
        )
    place = _place(one, version, kind)
    if place is None:
        return NotMade("the cluster has no such kind")
    plural, namespaced = place
    namespace = metadata.get("namespace") or "default"
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    path = f"{root}/namespaces/{namespace}/{plural}/{name}" if namespaced else f"{root}/{plural}/{name}"
    live = _settled(one, path, f"{kind} {name}", sleep)
    if live is None:
        return NotMade()
    outputs = {"__initialApiVersion": version, "__inputs": inputs}
    id = f"{namespace}/{name}" if namespaced else name
    managers = _managers(live, inputs, set(known))
    if creation.type.endswith("Patch"):
        return _patch(creation, one, (plural, name), managers, Made(id, outputs), inputs)
    annotations = metadata.get("annotations") or {}
    made_up = annotations.get("pulumi.com/autonamed") == "true"
    labels = (live["metadata"].get("labels") or {}).items()
    alike = (metadata.get("labels") or {}).items() <= labels
    if not made_up and not (managers and alike):
        return NotMade(f"{kind} {name} exists and was not made by this run")
    if not made_up and since and _older(live["metadata"].get("creationTimestamp"), since):
        return NotMade(f"{kind} {name} exists, from before this stack")
    return Made(id, outputs | ({"__fieldManager": managers[-1]} if managers else {}))


def _patch(
    creation: Creation,
    one: Cluster,
    target: tuple[str, str],
    managers: list[str],
    made: Made,
    inputs: dict[str, Any],
) -> Verdict:
    """A patch's object exists anyway; what tells is a field manager that no resource of the state has."""
    if not managers:
        return NotMade("no field manager that is not known holds its fields")
    if len(managers) > 1:
        return Unknown(
            f"{creation.type} `{creation.name}`: managers {', '.join(managers)} may each be this patch of"
            f" {inputs['kind']} {target[1]}",
            f"kubectl --context {one.context} get {target[0]} {target[1]} -o yaml --show-managed-fields",
        )
    return Made(made.id, made.outputs | {"__fieldManager": managers[0]})


def _place(one: Cluster, version: str, kind: str) -> tuple[str, bool] | None:
    """The plural of a kind and whether it is namespaced; None where the server does not serve it."""
    try:
        served = one.find("/api/v1" if version == "v1" else f"/apis/{version}")
    except ApiRefusal as refused:
        raise _refused(one, refused) from None
    for each in (served or {}).get("resources") or []:
        if each.get("kind") == kind and "/" not in each["name"]:
            return each["name"], bool(each.get("namespaced"))
    return None


def _settled(one: Cluster, path: str, what: str, sleep: Callable[[float], None]) -> dict[str, Any] | None:
    """The object, None where there is none; one that is being deleted is waited for."""
    for _ in range(int(GOING_S)):
        try:
            live = one.find(path)
        except ApiRefusal as refused:
            raise _refused(one, refused) from None
        if live is None or not live["metadata"].get("deletionTimestamp"):
            return live
        sleep(1.0)
    raise EnvironmentFault(
        f"{what} has been leaving for {GOING_S:.0f} s and is still there",
        where=f"context {one.context}",
        fix="See what holds it (`kubectl get -o yaml`, `finalizers`), then run the same command again",
    )


def _refused(one: Cluster, refused: ApiRefusal) -> EnvironmentFault:
    return EnvironmentFault(
        f"the cluster of context `{one.context}` refuses to be asked what there is ({refused})",
        fix="Check the credentials in the kubeconfig",
    )


def _managers(live: dict[str, Any], inputs: dict[str, Any], known: set[str]) -> list[str]:
    """The provider's field managers that hold every field of the inputs and are not known, oldest first."""
    chosen = ((inputs.get("metadata") or {}).get("annotations") or {}).get("pulumi.com/patchFieldManager")
    found = []
    for each in live["metadata"].get("managedFields") or []:
        manager = each.get("manager", "")
        ours = manager == chosen or (manager.startswith(MANAGER) and manager not in known)
        if ours and each.get("operation") == "Apply" and _holds(each.get("fieldsV1") or {}, inputs):
            found.append((each.get("time", ""), manager))
    return [manager for _, manager in sorted(found)]


def _holds(fields: dict[str, Any], inputs: dict[str, Any]) -> bool:
    """Whether managed fields cover the inputs' parts, down to the names of labels and annotations."""
    for name, value in inputs.items():
        if name in ("apiVersion", "kind"):
            continue
        if name == "metadata":
            held = fields.get("f:metadata") or {}
            for part in ("labels", "annotations"):
                if any(f"f:{key}" not in (held.get(f"f:{part}") or {}) for key in value.get(part) or {}):
                    return False
        elif f"f:{name}" not in fields and value not in ({}, [], None):
            return False
    return True


def _older(created: str | None, since: str) -> bool:
    if not created:
        return False
    return datetime.fromisoformat(created) < datetime.fromisoformat(since) - SKEW
