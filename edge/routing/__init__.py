"""Where a request goes inside its class: endpoints, how they are, and the order in which they are asked."""

from edge.routing.endpoint import Endpoint, Unsent, Upstream, UpstreamCall
from edge.routing.route import RoutedModel, Router

__all__ = ["Endpoint", "RoutedModel", "Router", "Unsent", "Upstream", "UpstreamCall"]
