"""What an API server says there is of ours."""

from __future__ import annotations

from collections import Counter

from isthmus.core.kubernetes_client import KubeClient
from isthmus.engine.recovery.kubernetes_lookup import MANAGER

DERIVED = {"Pod", "ReplicaSet", "Endpoints", "EndpointSlice", "Event", "ControllerRevision"}
"""Made by controllers from what we make, with its labels."""
PATCHED = ("/api/v1/nodes", "/apis/nvidia.com/v1/clusterpolicies")
"""What we change and others make."""


def objects(client: KubeClient) -> set[tuple[str, str, str]]:
    """Kind, namespace and name of all that bears our label, that no controller made and that stays."""
    groups = client.get("/apis")["groups"]
    objects_found = set()
    for root in ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]:
        for kind in client.get(root)["resources"]:
            if "list" not in kind["verbs"] or "/" in kind["name"] or kind["kind"] in DERIVED:
                continue
            path = f"{root}/{kind['name']}?labelSelector=app.kubernetes.io/part-of=isthmus"
            for item in client.get(path)["items"] or []:
                meta = item["metadata"]
                if not meta.get("ownerReferences") and not meta.get("deletionTimestamp"):
                    objects_found.add((kind["kind"], meta.get("namespace", ""), meta["name"]))
    return objects_found


def counted(client: KubeClient) -> Counter[str]:
    """Each of our objects, and how many of our field managers each patched one bears."""
    counts = Counter(f"{kind} {namespace}/{name}" for kind, namespace, name in objects(client))
    return counts + claims(client)


def claims(client: KubeClient) -> Counter[str]:
    """How many field managers of the provider's each patched object bears.

    They tell a patch that was made twice: the second leaves the first's claim behind, on a node, for ever.
    """
    counts: Counter[str] = Counter()
    for path in PATCHED:
        for item in client.get(path)["items"] or []:
            meta = item["metadata"]
            managers = {claim["manager"] for claim in meta.get("managedFields") or []}
            own_managers = [name for name in managers if name.startswith(MANAGER)]
            counts[f"claims on {path.rpartition('/')[2]} {meta['name']}"] += len(own_managers)
    return +counts
