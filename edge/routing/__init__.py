"""Chooses the upstream of a request: endpoints, their health and load, and the order in which they are tried."""

from edge.routing.endpoint import Endpoint, Unsent, Upstream, UpstreamCall
from edge.routing.route import RoutedModel, Router
from edge.routing.window import Window

__all__ = ["Endpoint", "RoutedModel", "Router", "Unsent", "Upstream", "UpstreamCall", "Window"]
