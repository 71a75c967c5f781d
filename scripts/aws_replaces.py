"""Write `isthmus/engine/preview/data/aws_replaces.json` from the table of the sandbox's AWS provider.

A comparison of two renderings asks no provider, and wants to know all the same what would be made anew.
"""

from __future__ import annotations

import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "isthmus/engine/preview/data/aws_replaces.json"


def text() -> str:
    from sandbox.aws.table import TYPES

    known = {
        token: {
            "replaces": sorted(name for name, prop in kind.inputs.items() if prop.replace),
            "updates": sorted(name for name, prop in kind.inputs.items() if not prop.replace),
        }
        for token, kind in sorted(TYPES.items())
    }
    lines = [f"  {json.dumps(token)}: {json.dumps(said)}" for token, said in known.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
