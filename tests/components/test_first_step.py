"""The first step of `isthmus up`: the policies that refuse and the namespaces they refuse in, and no more."""

from typing import Any

from tests.components.conftest import Engine, build


def test_the_first_step_makes_policies_and_their_namespaces_and_nothing_else(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, platform, only_admission=True)
    made = [each for each in engine.made if each.type.startswith(("kubernetes:", "aws:"))]
    first, others = Engine(), {"Deployment", "Service", "Role", "Vpc", "Bucket", "ResourceFlavor"}
    build(first, platform)
    assert others <= {each.kind for each in first.made}, "the whole platform has these"
    assert not others & {each.kind for each in made}
    kinds = {each.kind for each in made}
    assert {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Namespace"} <= kinds


def test_the_whole_platform_has_all_of_the_first_step_with_the_same_inputs(
    engine: Engine, platform: dict[str, Any]
) -> None:
    build(engine, platform, only_admission=True)
    whole = Engine()
    build(whole, platform)
    later = {(each.type, each.name): each.inputs for each in whole.made}
    for each in engine.made:
        assert later[each.type, each.name] == each.inputs, each.name
