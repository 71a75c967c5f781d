"""The first step of `isthmus up`: the policies that refuse and the namespaces they refuse in, and no more."""

from typing import Any

from tests.components.conftest import Engine, build


def test_the_first_step_makes_policies_and_their_namespaces_and_nothing_else(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    build(engine, platform, only_admission=True)
    created = [resource for resource in engine.made if resource.type.startswith(("kubernetes:", "aws:"))]
    platform_kinds = {"Deployment", "Service", "Role", "Vpc", "Bucket", "ResourceFlavor"}
    assert platform_kinds <= {resource.kind for resource in built.made}, "the whole platform has these"
    assert not platform_kinds & {resource.kind for resource in created}
    kinds = {resource.kind for resource in created}
    assert {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Namespace"} <= kinds


def test_the_whole_platform_has_all_of_the_first_step_with_the_same_inputs(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    build(engine, platform, only_admission=True)
    later = {(resource.type, resource.name): resource.inputs for resource in built.made}
    for resource in engine.made:
        assert later[resource.type, resource.name] == resource.inputs, resource.name
