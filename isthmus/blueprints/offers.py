"""The blueprints of the catalogue in the planner's form: what each can build, and for which data and sizes."""

from __future__ import annotations

from isthmus.blueprints.catalogue import blueprints
from isthmus.planning.planner import BlueprintOffer


def offers() -> list[BlueprintOffer]:
    """Every blueprint, by name, for `planner.make_plan`."""
    return [
        BlueprintOffer(
            blueprint.name,
            blueprint.header.classes,
            blueprint.header.scale.gpus_from,
            blueprint.header.scale.gpus_to,
            frozenset(blueprint.header.builds),
            blueprint.header.topology,
        )
        for blueprint in blueprints()
    ]
