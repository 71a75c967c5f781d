"""What the engine runs for every stack: Isthmus' own program, on this estate's files."""

import runpy
from pathlib import Path

import isthmus

if __name__ == "__main__":
    checkout = Path(isthmus.__file__).resolve().parents[1]
    runpy.run_path(str(checkout / "stacks" / "__main__.py"), run_name="__main__")
