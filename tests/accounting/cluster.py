"""What an API server says there is of ours."""

from __future__ import annotations

from collections import Counter

from isthmus.engine.recovery.kubernetes_lookup import MANAGER
from sandbox.cluster.client import KubeClient

DERIVED = {"Pod", "ReplicaSet", "Endpoints", "EndpointSlice", "Event", "ControllerRevision"}
"""Made by controllers from what we make, with its labels."""
PATCHED = ("/api/v1/nodes", "/apis/nvidia.com/v1/clusterpolicies")
"""What we change and others make."""


def objects(client: KubeClient) -> set[tuple[str, str, str]]:
    """Kind, namespace and name of all that bears our label, that no controller made and that stays."""
    groups = client.get("/apis")["groups"]
    found = set()
    for root in ["/api/v1", *(f"/apis/{each['preferredVersion']['groupVersion']}" for each in groups)]:
        for kind in client.get(root)["resources"]:
            if "list" not in kind["verbs"] or "/" in kind["name"] or kind["kind"] in DERIVED:
                continue
            path = f"{root}/{kind['name']}?labelSelector=app.kubernetes.io/part-of=isthmus"
            for each in client.get(path)["items"] or []:
                meta = each["metadata"]
                if not meta.get("ownerReferences") and not meta.get("deletionTimestamp"):
                    found.add((kind["kind"], meta.get("namespace", ""), meta["name"]))
    return found


def counted(client: KubeClient) -> Counter[str]:
    """Each of our objects, and how many of our field managers each patched one bears."""
    found = Counter(f"{kind} {space}/{name}" for kind, space, name in objects(client))
    return found + claims(client)


def claims(client: KubeClient) -> Counter[str]:
    """How many field managers of the provider's each patched object bears.

    They tell a patch that was made twice: the second leaves the first's claim behind, on a node, for ever.
    """
    found: Counter[str] = Counter()
    for path in PATCHED:
        for each in client.get(path)["items"] or []:
            meta = each["metadata"]
            managers = {claim["manager"] for claim in meta.get("managedFields") or []}
            ours = [name for name in managers if name.startswith(MANAGER)]
            found[f"claims on {path.rpartition('/')[2]} {meta['name']}"] += len(ours)
    return +found
