"""The whole platform, from the bank's contract."""

from typing import Any

import pulumi

from components import LlmPlatform
from isthmus.contracts.platform import Platform
from tests.components.conftest import Engine


def build(engine: Engine, platform: dict[str, Any]) -> None:
    """The whole platform, each site with a provider of its own."""
    from pulumi_aws import Provider as Aws
    from pulumi_kubernetes import Provider as Kubernetes

    def program() -> pulumi.ComponentResource:
        providers = {
            site["name"]: Kubernetes(site["name"]) if site["kind"] == "on-prem" else Aws(site["name"])
            for site in platform["sites"]
        }
        return LlmPlatform("isthmus", Platform.model_validate(platform), providers)

    engine.run(program)


def test_each_gateway_is_named_with_its_class_site_and_address(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, platform)
    named = {(each["class"], each["site"], each["address"]) for each in engine.outputs["gateways"]}
    assert named == {
        (held, "fra1", f"https://{held}-gateway.isthmus-{held}.svc:8443")
        for held in ("restricted", "confidential", "internal", "public")
    }
