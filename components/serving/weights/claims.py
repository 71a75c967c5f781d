"""Claims on the volumes that hold weights: one for each class that reads them, whatever endpoints come and go.

A volume binds to one claim, and one with weights is `Retain`: when its claim goes it is released, not free, and
binds to no other until a person clears it. So a claim belongs to no endpoint: the old and the new endpoint of a
model mount the same one, read-only.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from components.cluster.objects import class_namespace, labels, metadata
from components.serving.arguments import ModelWeights
from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Site

WEIGHTS_DIGEST = "isthmus.dev/weights-digest"

Claims = dict[tuple[str, str], pulumi.Resource]
"""By class and name."""


def claim(
    name: str, weights: ModelWeights, space: str, own: dict[str, str], opts: pulumi.ResourceOptions
) -> pulumi.Resource | None:
    """The claim on the volume that holds the weights; None where no volume is named."""
    volume = weights.get("volume")
    if not weights["uri"].startswith("pvc://") or not volume:
        return None
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    known = weights["uri"].removeprefix("pvc://").partition("/")[0]
    spec: Any = {
        "accessModes": ["ReadOnlyMany"],
        # No class: only the named volume will do, and none is provisioned in its place.
        "storageClassName": "",
        "volumeName": volume,
        "resources": {"requests": {"storage": f"{weights.get('size_gib', 200)}Gi"}},
    }
    meta = metadata(known, own, namespace=space, annotations={WEIGHTS_DIGEST: weights["digest"]})
    return PersistentVolumeClaim(name, metadata=meta, spec=spec, opts=opts)


def shared_claims(
    name: str,
    platform: Platform,
    site: Site,
    parent: pulumi.Resource,
    provider: pulumi.ProviderResource,
    spaces: Mapping[str, pulumi.Resource],
    runs: Callable[[Endpoint], bool] = lambda _: True,
) -> Claims:
    """The claims of a site's endpoints, each made once. `name`: the platform's; `spaces`: each class's namespace, where
    this stack makes it, which is all that a claim waits for: what it names stands in the state of each; `runs`: those
    that this stack has."""
    users: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in platform.endpoints:
        known = claim_of(endpoint)
        here = endpoint.site == site.name and runs(endpoint)
        if here and known and endpoint.weights and endpoint.weights.volume:
            users.setdefault((endpoint.class_, known), []).append(endpoint)
    made: Claims = {}
    for (held, known), endpoints in users.items():
        weights: Any = endpoints[0].weights.model_dump(exclude_none=True) if endpoints[0].weights else {}
        found = claim(
            f"{name}-{site.name}-{held}-{known}",
            weights,
            class_namespace(held),
            labels(known, sensitivity=held),
            pulumi.ResourceOptions(
                parent=parent,
                provider=provider,
                depends_on=[spaces[held]] if held in spaces else [],
                aliases=[_before(name, each.id) for each in endpoints],
            ),
        )
        if found is not None:
            made[held, known] = found
    return made


def _before(platform: str, endpoint: str) -> pulumi.Alias:
    """Claims were their endpoint's once: to be made anew would be to lose the volume."""
    server = f"{platform}-{endpoint}"
    above = "isthmus:index:LlmPlatform$isthmus:index:ModelServer"
    parent = f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{above}::{server}"
    return pulumi.Alias(name=f"{server}-weights", parent=parent)
