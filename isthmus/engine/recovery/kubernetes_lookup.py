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
DELETION_WAIT_S = 60.0
"""How long an object that is being deleted may take to leave."""
SKEW = timedelta(seconds=60)
"""How far a server's clock may be from ours."""


def cluster_of(provider: dict[str, Any]) -> Cluster:
    """The cluster that a provider's entry in the state names, by its context and its kubeconfig's path."""
    inputs = provider.get("inputs") or {}
    path = inputs.get("kubeconfig")
    environment = dict(os.environ)
    if isinstance(path, str) and "\n" not in path and Path(path).expanduser().is_file():
        environment["KUBECONFIG"] = str(Path(path).expanduser())
    context = inputs.get("context")
    if not isinstance(context, str):
        raise EnvironmentFault(
            f"provider {provider['urn'].rpartition('::')[2]} names no context, so its cluster is not known",
            fix="Name the context in the program's provider",
        )
    return cluster(context, environment)


def look_up(
    creation: Creation,
    cluster: Cluster,
    *,
    known_managers: Iterable[str] = (),
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
            f"kubectl --context {cluster.context} get all -A -l app.kubernetes.io/part-of=isthmus",
        )
    resource_kind = _kind_of(cluster, version, kind)
    if resource_kind is None:
        return NotMade("the cluster has no such kind")
    plural, namespaced = resource_kind
    namespace = metadata.get("namespace") or "default"
    root = "/api/v1" if version == "v1" else f"/apis/{version}"
    path = f"{root}/namespaces/{namespace}/{plural}/{name}" if namespaced else f"{root}/{plural}/{name}"
    live = _wait_for_deletion(cluster, path, f"{kind} {name}", sleep)
    if live is None:
        return NotMade()
    outputs = {"__initialApiVersion": version, "__inputs": inputs}
    id = f"{namespace}/{name}" if namespaced else name
    managers = _own_managers(live, inputs, set(known_managers))
    if creation.type.endswith("Patch"):
        return _patch_verdict(creation, cluster, (plural, name), managers, Made(id, outputs), inputs)
    annotations = metadata.get("annotations") or {}
    is_autonamed = annotations.get("pulumi.com/autonamed") == "true"
    labels = (live["metadata"].get("labels") or {}).items()
    has_labels = (metadata.get("labels") or {}).items() <= labels
    if not is_autonamed and not (managers and has_labels):
        return NotMade(f"{kind} {name} exists and was not made by this run")
    if not is_autonamed and since and _is_older(live["metadata"].get("creationTimestamp"), since):
        return NotMade(f"{kind} {name} exists, from before this stack")
    return Made(id, outputs | ({"__fieldManager": managers[-1]} if managers else {}))


def _patch_verdict(
    creation: Creation,
    cluster: Cluster,
    target: tuple[str, str],
    managers: list[str],
    existing: Made,
    inputs: dict[str, Any],
) -> Verdict:
    """A patch's object exists anyway; what tells is a field manager that no resource of the state has."""
    if not managers:
        return NotMade("no field manager that is not known holds its fields")
    if len(managers) > 1:
        return Unknown(
            f"{creation.type} `{creation.name}`: managers {', '.join(managers)} may each be this patch of"
            f" {inputs['kind']} {target[1]}",
            f"kubectl --context {cluster.context} get {target[0]} {target[1]} -o yaml --show-managed-fields",
        )
    return Made(existing.id, existing.outputs | {"__fieldManager": managers[0]})


def _kind_of(cluster: Cluster, version: str, kind: str) -> tuple[str, bool] | None:
    """The plural of a kind and whether it is namespaced; None where the server does not serve it."""
    try:
        resources = cluster.find("/api/v1" if version == "v1" else f"/apis/{version}")
    except ApiRefusal as refused:
        raise _refusal_fault(cluster, refused) from None
    for resource in (resources or {}).get("resources") or []:
        if resource.get("kind") == kind and "/" not in resource["name"]:
            return resource["name"], bool(resource.get("namespaced"))
    return None


def _wait_for_deletion(
    cluster: Cluster, path: str, subject: str, sleep: Callable[[float], None]
) -> dict[str, Any] | None:
    """The object, None where there is none; one that is being deleted is waited for."""
    for _ in range(int(DELETION_WAIT_S)):
        try:
            live = cluster.find(path)
        except ApiRefusal as refused:
            raise _refusal_fault(cluster, refused) from None
        if live is None or not live["metadata"].get("deletionTimestamp"):
            return live
        sleep(1.0)
    raise EnvironmentFault(
        f"{subject} has been leaving for {DELETION_WAIT_S:.0f} s and is still there",
        where=f"context {cluster.context}",
        fix="See what holds it (`kubectl get -o yaml`, `finalizers`), then run the same command again",
    )


def _refusal_fault(cluster: Cluster, refused: ApiRefusal) -> EnvironmentFault:
    return EnvironmentFault(
        f"the cluster of context `{cluster.context}` refuses to be asked what there is ({refused})",
        fix="Check the credentials in the kubeconfig",
    )


def _own_managers(live: dict[str, Any], inputs: dict[str, Any], known_managers: set[str]) -> list[str]:
    """The provider's field managers that hold every field of the inputs and are not known, oldest first."""
    patch_manager = ((inputs.get("metadata") or {}).get("annotations") or {}).get(
        "pulumi.com/patchFieldManager"
    )
    times_and_managers = []
    for entry in live["metadata"].get("managedFields") or []:
        manager = entry.get("manager", "")
        is_own = manager == patch_manager or (manager.startswith(MANAGER) and manager not in known_managers)
        if is_own and entry.get("operation") == "Apply" and _covers(entry.get("fieldsV1") or {}, inputs):
            times_and_managers.append((entry.get("time", ""), manager))
    return [manager for _, manager in sorted(times_and_managers)]


def _covers(fields: dict[str, Any], inputs: dict[str, Any]) -> bool:
    """Whether managed fields cover the inputs' parts, down to the names of labels and annotations."""
    for name, value in inputs.items():
        if name in ("apiVersion", "kind"):
            continue
        if name == "metadata":
            metadata_fields = fields.get("f:metadata") or {}
            for section in ("labels", "annotations"):
                if any(
                    f"f:{key}" not in (metadata_fields.get(f"f:{section}") or {})
                    for key in value.get(section) or {}
                ):
                    return False
        elif f"f:{name}" not in fields and value not in ({}, [], None):
            return False
    return True


def _is_older(created: str | None, since: str) -> bool:
    if not created:
        return False
    return datetime.fromisoformat(created) < datetime.fromisoformat(since) - SKEW
