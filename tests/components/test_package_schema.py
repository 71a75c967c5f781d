"""The package's schema, as `pulumi package get-schema ./components` gives it: all of it is described."""

import json
from typing import Any

from pulumi.provider.experimental.component import ComponentProvider

from components.__main__ import HOSTED


def test_every_component_argument_output_and_type_has_a_description() -> None:
    schema: dict[str, Any] = json.loads(ComponentProvider(HOSTED, "isthmus", None, "0.1.0").schema)  # type: ignore[arg-type]
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
