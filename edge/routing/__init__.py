"""Where a request goes inside its class: endpoints, how they are, and the order in which they are asked."""

from edge.routing.endpoint import Endpoint, Opened, Unsent, Upstream
from edge.routing.route import Way, Ways

__all__ = ["Endpoint", "Opened", "Unsent", "Upstream", "Way", "Ways"]
