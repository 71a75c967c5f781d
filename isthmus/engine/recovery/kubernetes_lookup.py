"""Looks up a Kubernetes object after an interrupted creation: does it exist, and did this stack create it?

The object is read by kind, namespace and name; generated names are among the inputs too. The provider of January 2026
creates by upsert, later ones fail with AlreadyExists. An object that is found is taken into the state, so neither
creates it a second time.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from isthmus.core.errors import EnvironmentFault
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.state.interrupted_creations import Creation, Made, NotMade, Unknown, Verdict

MANAGER = "pulumi-kubernetes-"
"""Prefix of the provider's field managers; the rest is random for each resource."""
DELETION_WAIT_S = 60.0
"""Seconds to wait for the end of a deletion."""
SKEW = timedelta(seconds=60)
"""Largest assumed difference between the server's clock and the local one."""


def cluster_of(provider: dict[str, Any]) -> KubeClient:
    """The cluster of a provider in the state, by its context and kubeconfig path, or by its kubeconfig as JSON."""
    inputs = provider.get("inputs") or {}
    path = inputs.get("kubeconfig")
    environment = dict(os.environ)
    if isinstance(path, str) and path.lstrip().startswith("{"):
        return _cluster_of_json(path)
    if isinstance(path, str) and "\n" not in path and Path(path).expanduser().is_file():
        environment["KUBECONFIG"] = str(Path(path).expanduser())
    context = inputs.get("context")
    if not isinstance(context, str):
        raise EnvironmentFault(
            f"provider {provider['urn'].rpartition('::')[2]} has no context, so its cluster is unknown",
            fix="Set `context` of this Kubernetes provider in the stack's program",
        )
    return KubeClient.of_context(context, environment)


def _cluster_of_json(kubeconfig: str) -> KubeClient:
    """The cluster of a kubeconfig with one context, as the program writes it for a cluster of EKS."""
    try:
        context = str(json.loads(kubeconfig)["current-context"])
    except (ValueError, KeyError, TypeError):
        raise EnvironmentFault(
            "the provider's kubeconfig in the state has no current context, so its cluster is unknown",
            fix="Run `isthmus up` again; it writes the kubeconfig",
        ) from None
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(kubeconfig)
        file.flush()
        return KubeClient.from_kubeconfig(Path(file.name), context)


def look_up(
    creation: Creation,
    cluster: KubeClient,
    *,
    known_managers: Iterable[str] = (),
    since: str | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Verdict:
    """Decide a creation. `known_managers`: field managers in the state; `since`: RFC 3339.

    Raises `EnvironmentFault` if the API server does not answer, or if a deletion of the object does not end.
    """
    inputs = creation.inputs
    metadata = inputs.get("metadata") or {}
    kind, version, name = inputs.get("kind"), inputs.get("apiVersion"), metadata.get("name")
    if not (isinstance(kind, str) and isinstance(version, str) and isinstance(name, str)):
        return Unknown(
            f"{creation.type} `{creation.name}`: its recorded inputs have no kind or name",
            f"kubectl --context {cluster.context} get all -A -l app.kubernetes.io/part-of=isthmus",
        )
    resource_kind = _kind_of(cluster, version, kind)
    if resource_kind is None:
        return NotMade("the cluster does not serve its kind")
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
        return NotMade(f"{kind} {name} exists, but another run created it")
    if not is_autonamed and since and _is_older(live["metadata"].get("creationTimestamp"), since):
        return NotMade(f"{kind} {name} exists since before this stack")
    return Made(id, outputs | ({"__fieldManager": managers[-1]} if managers else {}))


def _patch_verdict(
    creation: Creation,
    cluster: KubeClient,
    target: tuple[str, str],
    managers: list[str],
    existing: Made,
    inputs: dict[str, Any],
) -> Verdict:
    """Decide a patch. Its object exists in any case; a field manager that is not in the state shows the patch."""
    if not managers:
        return NotMade("no unknown field manager owns its fields")
    if len(managers) > 1:
        return Unknown(
            f"{creation.type} `{creation.name}`: managers {', '.join(managers)} may each be this patch of"
            f" {inputs['kind']} {target[1]}",
            f"kubectl --context {cluster.context} get {target[0]} {target[1]} -o yaml --show-managed-fields",
        )
    return Made(existing.id, existing.outputs | {"__fieldManager": managers[0]})


def _kind_of(cluster: KubeClient, version: str, kind: str) -> tuple[str, bool] | None:
    """Plural of a kind, and whether it is namespaced; None if the server does not serve it."""
    try:
        resources = cluster.find("/api/v1" if version == "v1" else f"/apis/{version}")
    except ApiRefusal as refused:
        raise _refusal_fault(cluster, refused) from None
    for resource in (resources or {}).get("resources") or []:
        if resource.get("kind") == kind and "/" not in resource["name"]:
            return resource["name"], bool(resource.get("namespaced"))
    return None


def _wait_for_deletion(
    cluster: KubeClient, path: str, subject: str, sleep: Callable[[float], None]
) -> dict[str, Any] | None:
    """The object, or None. Waits for the end of a deletion."""
    for _ in range(int(DELETION_WAIT_S)):
        try:
            live = cluster.find(path)
        except ApiRefusal as refused:
            raise _refusal_fault(cluster, refused) from None
        if live is None or not live["metadata"].get("deletionTimestamp"):
            return live
        sleep(1.0)
    raise EnvironmentFault(
        f"{subject} has been in deletion for {DELETION_WAIT_S:.0f} s and still exists",
        where=f"context {cluster.context}",
        fix="Find what blocks it (`kubectl get -o yaml`, `finalizers`), then run the same command again",
    )


def _refusal_fault(cluster: KubeClient, refused: ApiRefusal) -> EnvironmentFault:
    return EnvironmentFault(
        f"the cluster of context `{cluster.context}` refused a read of its objects ({refused.reason})",
        fix="Check the credentials in the kubeconfig",
    )


def _own_managers(live: dict[str, Any], inputs: dict[str, Any], known_managers: set[str]) -> list[str]:
    """Unknown field managers of the provider that own every field of the inputs, oldest first."""
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
    """Whether managed fields contain the inputs' top-level fields, labels and annotations."""
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
