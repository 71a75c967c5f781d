"""Writes `isthmus/engine/preview/data/aws_replaces.json` from the tables of the sandbox's AWS provider.

The file says which inputs of an AWS resource replace it. A comparison of two renderings needs that, because it calls no
provider.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "isthmus/engine/preview/data/aws_replaces.json"


def text() -> str:
    from sandbox.aws.table import TYPES

    inputs_of_type = {
        token: {
            "replaces": sorted(name for name, prop in kind.inputs.items() if prop.replace),
            "updates": sorted(name for name, prop in kind.inputs.items() if not prop.replace),
        }
        for token, kind in sorted(TYPES.items())
    }
    lines = [f"  {json.dumps(token)}: {json.dumps(inputs)}" for token, inputs in inputs_of_type.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
