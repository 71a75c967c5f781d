"""A stand-in for the `pulumi` program: prints the given events, complete or cut off, and exits as told."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SCRIPT = """#!{python}
import json, sys, pathlib
here = pathlib.Path(__file__).parent
words = [each for each in sys.argv[1:] if each != "--non-interactive"]
told = json.loads((here / "told.json").read_text())
if words[:1] == ["version"]:
    print("v3.150.0")  # one that writes its events to a file
elif words[:2] == ["stack", "select"] and not told["there"]:
    sys.exit("error: no stack named 'bank-dev' found")
elif words[:2] == ["stack", "export"]:
    print(json.dumps({{"version": 3, "deployment": told["state"]}}))
elif words[:1] == ["config"]:
    print(json.dumps({{"bank:token": {{"value": told["secret"], "secret": True}}}}))
elif words[:1] in (["preview"], ["refresh"]):
    pathlib.Path(words[words.index("--event-log") + 1]).write_text(told["events"])
    (here / "asked.json").write_text(json.dumps(words))
    print(told["stderr"], file=sys.stderr)
    sys.exit(told["code"])
"""


def write(folder: Path, events: list[dict[str, Any]], **more: Any) -> Path:
    """The program, in a folder for PATH. `cut`: how many characters are missing at the end of what it tells."""
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(event) + "\n" for event in events)
    cut = more.pop("cut", 0)
    answer = {"there": True, "state": {}, "secret": "hunter2-0123456789", "stderr": "", "code": 0, **more}
    (folder / "told.json").write_text(json.dumps({**answer, "events": text[: len(text) - cut]}))
    for name in ("pulumi", "pulumi-language-python"):
        (folder / name).write_text(SCRIPT.format(python=sys.executable))
        (folder / name).chmod(0o755)
    return folder
