"""What the engine runs for every stack; the work is in `stacks.program`."""

import gc
import sys
from pathlib import Path

# The SDK's modules are a million objects that stay, and to look through them for garbage again and again is
# a quarter of a preview's time. A program makes each resource once and ends: what it could free is megabytes.
gc.disable()

# The engine puts this folder on the path. The root takes its place, so that a module here can never
# shadow another one of its name.
_FOLDER = Path(__file__).resolve().parent
sys.path[:] = [str(_FOLDER.parent), *(folder for folder in sys.path if Path(folder).resolve() != _FOLDER)]

from isthmus.core.errors import IsthmusError  # noqa: E402
from stacks.program import program  # noqa: E402

ALREADY_SHOWN = 32
"""The exit code that tells Pulumi's language host that the user has been told already."""

if __name__ == "__main__":
    try:
        program(live=True)
    except IsthmusError as error:
        import pulumi

        # `isthmus.engine.automation.failures` reads the kind of error from its first words.
        pulumi.log.error(f"{error.verdict}: {error}")
        sys.exit(ALREADY_SHOWN)
