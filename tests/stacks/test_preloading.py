"""What is loaded while the providers start is what the bank's platform is made of."""

from __future__ import annotations

from stacks.preloading import MODULES
from tests.blueprints import bank

GROUPS = {
    "networking.k8s.io/v1": "networking.v1",
    "admissionregistration.k8s.io/v1": "admissionregistration.v1",
}


def module(kind: str) -> tuple[str, str]:
    """The kind of site and the SDK's module of a resource type."""
    package, middle, _ = kind.split(":")
    if package == "aws":
        return "aws", middle.split("/")[0]
    name = GROUPS.get(middle, middle.replace("/", "."))
    # Kinds that the SDK has no class for are custom resources to it.
    return "on-prem", "apiextensions" if name.split(".")[-2] in ("io", "com") else name


def test_all_that_the_bank_needs_and_nothing_else():
    modules = {module(resource.type) for resource in bank.rendered().resources if resource.made}
    assert modules == {(kind, name) for kind, names in MODULES.items() for name in names}
