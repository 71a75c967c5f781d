"""The pack as the engine starts it: `pulumi preview --policy-pack policies`."""

import gc
import sys
from pathlib import Path

# What is loaded, and then what the engine shows, stays until the process ends: looking for garbage in it is two fifths
# of judging.
gc.disable()

# The engine puts this folder on the path; the rooms are imported from the one above it.
_HERE = Path(__file__).resolve().parent
sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != _HERE]
sys.path.insert(0, str(_HERE.parent))

if __name__ == "__main__":
    from policies.plugin.server import serve

    serve(_HERE)
