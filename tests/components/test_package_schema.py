"""The package's schema, as `pulumi package get-schema ./components` gives it: all of it is described."""

from components.__main__ import HOSTED
from scripts import component_reference


def test_every_component_argument_output_and_type_has_a_description() -> None:
    schema = component_reference.package_schema()
    bare = [
        f"{token.rsplit(':', 1)[-1]}.{name}"
        for token, definition in [*schema["resources"].items(), *schema["types"].items()]
        for part in ("inputProperties", "properties")
        for name, property_ in definition.get(part, {}).items()
        if not property_.get("description", "").strip()
    ]
    bare += [token for token, definition in schema["resources"].items() if not definition.get("description")]
    assert bare == []
    assert len(schema["resources"]) == len(HOSTED)
    assert not [t for t, definition in schema["types"].items() if not definition.get("description")]
