"""The scope of one stack: its layer, its models, and what the layers below have created.

The records of lower layers are `isthmus.contracts.platform.layers.Given`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.contracts.platform.layers import (
    AnchorGiven,
    ClusterGiven,
    DoorGiven,
    HostedGiven,
    Layer,
    NetworkGiven,
    RecordsGiven,
)
from isthmus.contracts.platform.migration.capacity import Standing
from isthmus.contracts.platform.model.emergency_access import Access
from isthmus.contracts.platform.model.platform import Endpoint, Platform, Site
from isthmus.contracts.vocabulary import VLLM_TARGETS


@dataclass(frozen=True)
class Scope:
    """The layer of a stack, the models that it serves, the resources of lower layers, and temporary resources."""

    layer: Layer = "all"
    serves: frozenset[str] | None = None
    """Ids of the served endpoints. None: all."""
    networks: Mapping[str, NetworkGiven] = field(default_factory=dict)
    anchors: Mapping[str, AnchorGiven] = field(default_factory=dict)
    records: Mapping[str, RecordsGiven] = field(default_factory=dict)
    """Records of the platform by site."""
    doors: Mapping[str, DoorGiven] = field(default_factory=dict)
    """Network of each model server, by endpoint."""
    hosted: Mapping[str, HostedGiven] = field(default_factory=dict)
    """Names of a SageMaker endpoint and its resources, by endpoint."""
    clusters: Mapping[str, ClusterGiven] = field(default_factory=dict)
    """Cluster of each site."""
    retained_models: Sequence[Standing] = ()
    """Models of an earlier plan that run until this plan's models serve. Quotas and queues have room for both."""
    accesses: Sequence[Access] = ()
    """Emergency accesses in force."""

    def owns(self, layer: Layer) -> bool:
        """Whether this stack builds a layer's components."""
        return self.layer in ("all", layer)

    def runs(self, endpoint: Endpoint) -> bool:
        """Whether this stack runs an endpoint's model."""
        return self.owns("serving") and (self.serves is None or endpoint.id in self.serves)

    def in_cluster(self, platform: Platform, site: Site) -> bool:
        """Whether this stack builds anything in a site's cluster."""
        return self.owns("platform") or any(
            self.runs(endpoint) and endpoint.site == site.name and endpoint.target in VLLM_TARGETS
            for endpoint in platform.endpoints
        )


WHOLE_PLATFORM = Scope()
