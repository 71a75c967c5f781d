"""Renders a platform as the program of a stack does: with the providers of its sites, as `stacks` makes them."""

from __future__ import annotations

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.project import project
from isthmus.engine.render import rendering
from tests.blueprints.bank import ROOT, STACK, STACKS


def record(platform: Platform) -> rendering.Rendered:
    """The resources of the platform's components and providers, outside the sandbox."""

    def program() -> None:
        import pulumi

        from components import LlmPlatform
        from stacks import providers, tagging
        from stacks.program import Settings, site_providers

        tagging.tag_everything(pulumi.get_project(), platform.name)
        settings = Settings(stack=STACK, folder=STACKS, overrides={})
        LlmPlatform(platform.name, platform, site_providers(platform, settings), connect=providers.eks)

    with rendering.without_garbage_collection():
        return rendering.record_program(program, project.find_project(ROOT).stack(STACK))
