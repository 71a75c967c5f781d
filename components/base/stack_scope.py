"""The scope of one stack: its layer, its models, and what the layers below have created.

What is given is `isthmus.contracts.platform.layers.Given`.
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
    """The layer of a stack, the models that it serves, what lower layers have made, and what is there for a time."""

    layer: Layer = "all"
    serves: frozenset[str] | None = None
    """Ids of endpoints; None: every one."""
    networks: Mapping[str, NetworkGiven] = field(default_factory=dict)
    anchors: Mapping[str, AnchorGiven] = field(default_factory=dict)
    records: Mapping[str, RecordsGiven] = field(default_factory=dict)
    """By site."""
    doors: Mapping[str, DoorGiven] = field(default_factory=dict)
    """By endpoint."""
    hosted: Mapping[str, HostedGiven] = field(default_factory=dict)
    """By endpoint."""
    clusters: Mapping[str, ClusterGiven] = field(default_factory=dict)
    """By site."""
    retained_models: Sequence[Standing] = ()
    """Models of an earlier plan that run until this one's serve: quotas and queues hold both."""
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
