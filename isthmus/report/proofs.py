"""What must be so of a stack, found in its rendered graph and nowhere else: what breaks it, in sentences.

The rules of the policy pack look at the same (`isthmus.graph`), whoever wrote which part of the stack. A name in AWS
that the graph does not make is not vouched for.
"""

from __future__ import annotations

from isthmus.contracts.platform import Platform
from isthmus.graph import calls, endpoints, hosted, internet, keys, routes, tags, tasks, trail
from isthmus.graph.paths import Finder
from isthmus.graph.resources import Graph


def all_of(graph: Graph, platform: Platform) -> list[str]:
    """What breaks any of them, a sentence each."""
    ways = (each for each in Finder(graph, platform).found() if each.path.verdict != "allowed")
    said = [why for each in ways for why in each.why]
    faults = [
        *endpoints.loose(graph, routes.networks(graph, platform)),
        *calls.called_through_our_endpoints(graph, platform),
        *tasks.bare(graph),
        *tasks.identities(graph),
        *tasks.gateways_keep_to_their_network(graph, platform),
        *internet.only_public_work_is_beside_the_internet(graph, platform),
        *trail.nobody_switches_the_trail_off(graph),
        *trail.the_trail_stands(graph, platform),
        *keys.no_access_key(graph),
        *hosted.models_are_shut_in(graph),
        *tags.everything_is_tagged(graph),
    ]
    return list(dict.fromkeys([*said, *map(str, faults)]))
