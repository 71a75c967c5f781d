"""Take snapshots of today's states, for versions to come: `python -m tests.upgrades.taking VERSION [EXAMPLE...]`.

Each stack is begun and brought up in a sandbox of its own, and its state kept with the files that it was made from,
in `snapshots/VERSION-EXAMPLE`. A sandbox's state holds dummies only.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.laying import ROOT
from tests.sandbox.begun import Begun, begun

HERE = Path(__file__).parent / "snapshots"
EXAMPLES = ("hosted", "cloud-managed", "cloud-private")
"""What no snapshot of the bank has: SageMaker, gateways on Fargate, a cluster in AWS."""
PLACEHOLDER = "${KUBECONFIG}"


def take_snapshot(stack: Begun, folder: Path) -> None:
    """The stack's state and files, in `folder`, which appears whole."""
    done = stack.pulumi("stack", "export")
    assert done.returncode == 0, done.stderr
    state = json.loads(done.stdout)
    # What an engine says of where code stood is of no use to another version, and half of the bytes.
    for resource in state["deployment"]["resources"]:
        resource.pop("stackTrace", None)
        resource.pop("sourcePosition", None)
    text = json.dumps(state, separators=(",", ":")).replace(stack.env["KUBECONFIG"], PLACEHOLDER)
    part = folder.with_name(f".{folder.name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / "state.json.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    shutil.copy(stack.root / "images.lock.yaml", part)
    stacks = stack.settings.parent
    for name in (stack.settings.name, f"{stack.stack}.plan.yaml", f"{stack.stack}.requirements.yaml"):
        shutil.copy(stacks / name, part)
    part.rename(folder)


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    version, *examples = arguments
    for example in examples or EXAMPLES:
        folder = HERE / f"{version}-{example}"
        if folder.exists():
            print(f"{folder} is there already: a snapshot is never taken again", file=sys.stderr)
            return 2
        with (
            tempfile.TemporaryDirectory() as temporary,
            begun("kept", ROOT / "examples" / f"{example}.requirements.yaml", Path(temporary)) as stack,
        ):
            stack.up()
            take_snapshot(stack, folder)
        print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()):,} bytes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
