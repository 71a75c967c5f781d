"""Creates the claims on volumes with weights: one for each class, independent of endpoints.

A volume binds to one claim, and a volume with weights has the policy `Retain`. When its claim is deleted, the
volume is released and binds to no other claim until a person clears it. So no claim belongs to an endpoint: the old
and the new endpoint of a model mount the same claim, read-only.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from components.cluster.objects import class_namespace, common_labels, metadata
from components.serving.arguments import ModelWeights
from isthmus.contracts.platform.lookups.serving import claim_of
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Site

WEIGHTS_DIGEST = "isthmus.dev/weights-digest"

Claims = dict[tuple[str, str], pulumi.Resource]
"""Claims by class and name."""


def create_claim(
    name: str, weights: ModelWeights, namespace: str, labels: dict[str, str], opts: pulumi.ResourceOptions
) -> pulumi.Resource | None:
    """Create the claim on the volume with the weights; None without a volume."""
    volume = weights.get("volume")
    if not weights["uri"].startswith("pvc://") or not volume:
        return None
    from pulumi_kubernetes.core.v1 import PersistentVolumeClaim

    claim_name = weights["uri"].removeprefix("pvc://").partition("/")[0]
    spec: Any = {
        "accessModes": ["ReadOnlyMany"],
        # An empty class, so that the claim binds to the named volume only and no new one is provisioned.
        "storageClassName": "",
        "volumeName": volume,
        "resources": {"requests": {"storage": f"{weights.get('size_gib', 200)}Gi"}},
    }
    meta = metadata(claim_name, labels, namespace=namespace, annotations={WEIGHTS_DIGEST: weights["digest"]})
    return PersistentVolumeClaim(name, metadata=meta, spec=spec, opts=opts)


def shared_claims(
    name: str,
    platform: Platform,
    site: Site,
    parent: pulumi.Resource,
    provider: pulumi.ProviderResource,
    namespaces: Mapping[str, pulumi.Resource],
    runs: Callable[[Endpoint], bool] = lambda _: True,
) -> Claims:
    """The claims of a site's endpoints. Each is created once. `name`: the platform's.

    `namespaces`: the namespaces of classes that this stack creates, which are the claims' only dependencies,
    because dependencies are stored in the state of each claim. `runs`: whether this stack runs an endpoint.
    """
    users: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in platform.endpoints:
        claim_name = claim_of(endpoint)
        is_here = endpoint.site == site.name and runs(endpoint)
        if is_here and claim_name and endpoint.weights and endpoint.weights.volume:
            users.setdefault((endpoint.class_, claim_name), []).append(endpoint)
    claims: Claims = {}
    for (sensitivity, claim_name), endpoints in users.items():
        weights: Any = endpoints[0].weights.model_dump(exclude_none=True) if endpoints[0].weights else {}
        resource = create_claim(
            f"{name}-{site.name}-{sensitivity}-{claim_name}",
            weights,
            class_namespace(sensitivity),
            common_labels(claim_name, sensitivity=sensitivity),
            pulumi.ResourceOptions(
                parent=parent,
                provider=provider,
                depends_on=[namespaces[sensitivity]] if sensitivity in namespaces else [],
                aliases=[_former_alias(name, endpoint.id) for endpoint in endpoints],
            ),
        )
        if resource is not None:
            claims[sensitivity, claim_name] = resource
    return claims


def _former_alias(platform: str, endpoint: str) -> pulumi.Alias:
    """The alias of a claim that belonged to its endpoint in earlier versions. Replacing the claim would lose the
    volume.
    """
    server = f"{platform}-{endpoint}"
    parent_types = "isthmus:index:LlmPlatform$isthmus:index:ModelServer"
    parent = f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{parent_types}::{server}"
    return pulumi.Alias(name=f"{server}-weights", parent=parent)
