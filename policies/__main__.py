"""Starts the policy pack for the engine: `pulumi preview --policy-pack policies`."""

import gc
import sys
from pathlib import Path

# Nearly all objects live until the process ends, and garbage collection would take two fifths of the evaluation time.
gc.disable()

# The engine puts this folder on the path, but the packages are imported from the folder above.
_PACK_FOLDER = Path(__file__).resolve().parent
sys.path[:] = [path_entry for path_entry in sys.path if Path(path_entry or ".").resolve() != _PACK_FOLDER]
sys.path.insert(0, str(_PACK_FOLDER.parent))

if __name__ == "__main__":
    from policies.plugin.server import serve

    serve(_PACK_FOLDER)
