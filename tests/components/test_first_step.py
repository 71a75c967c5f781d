"""The first step of `isthmus up`: the policies that refuse and the namespaces they refuse in, and no more."""

from typing import Any

from tests.components.conftest import Engine, build


def test_the_first_step_makes_policies_and_their_namespaces_and_nothing_else(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    build(engine, platform, only_admission=True)
    made = [each for each in engine.made if each.type.startswith(("kubernetes:", "aws:"))]
    others = {"Deployment", "Service", "Role", "Vpc", "Bucket", "ResourceFlavor"}
    assert others <= {each.kind for each in built.made}, "the whole platform has these"
    assert not others & {each.kind for each in made}
    kinds = {each.kind for each in made}
    assert {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Namespace"} <= kinds


def test_the_whole_platform_has_all_of_the_first_step_with_the_same_inputs(
    engine: Engine, platform: dict[str, Any], built: Engine
) -> None:
    build(engine, platform, only_admission=True)
    later = {(each.type, each.name): each.inputs for each in built.made}
    for each in engine.made:
        assert later[each.type, each.name] == each.inputs, each.name
