"""The entry point of the Pulumi program. The work is in `stacks.program`."""

import gc
import sys
from pathlib import Path

# The SDK's modules are a million objects that never become garbage. Searching them takes a quarter of a preview's time.
# A program creates each resource once and ends, so collection would free only megabytes.
gc.disable()

# The engine puts this folder on the path. Put the root there instead, so that no module here hides another one of the
# same name.
_FOLDER = Path(__file__).resolve().parent
sys.path[:] = [str(_FOLDER.parent), *(folder for folder in sys.path if Path(folder).resolve() != _FOLDER)]

from isthmus.core.errors import IsthmusError  # noqa: E402
from stacks.program import program  # noqa: E402

ALREADY_SHOWN = 32
"""Exit code that tells Pulumi's language host that the error was printed already."""

if __name__ == "__main__":
    try:
        program(live=True)
    except IsthmusError as error:
        import pulumi

        # `isthmus.engine.automation.failures` recognises the kind of an error by its first words.
        pulumi.log.error(f"{error.verdict}: {error}")
        sys.exit(ALREADY_SHOWN)
