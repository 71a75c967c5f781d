"""The command line: `isthmus`.

Exit codes: 0 done; 1 refused; 2 the input is wrong; 3 the environment is wrong; 4 a calibration
has drifted; 130 interrupted.
Nothing heavy is imported here: `isthmus --help` must answer at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isthmus.core.errors import IsthmusError

__all__ = ["main"]

FAULT = 3
"""Exit code of unexpected errors, which count as errors of the environment."""


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code. `argv` without the program's name."""
    args = list(sys.argv[1:] if argv is None else argv)
    # Import `stacks`, `components` and others from the checkout, whatever the working folder is.
    root = str(Path(__file__).resolve().parents[2])
    if root not in sys.path:
        sys.path.insert(0, root)
    debug = "--debug" in args
    if debug:
        args = [arg for arg in args if arg != "--debug"]
    try:
        from isthmus.cli.app import run

        return run(args)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of stdout has ended (`isthmus … | head`), which is no error.
        sys.stderr.close()
        return 0
    except Exception as error:
        if debug:
            raise
        text, code = _print_error(error)
        print(text, file=sys.stderr)
        return code


def error_lines(error: IsthmusError) -> list[str]:
    """A line for each mistake, and how many there are if there are several."""
    lines = [f"isthmus: {' '.join(line.split())}" for line in error.lines()]
    return (
        [*lines, f"isthmus: {len(lines)} errors in all; a later one may follow from an earlier one."]
        if len(lines) > 1
        else lines
    )


def _print_error(error: Exception) -> tuple[str, int]:
    """The text of an error, a paragraph for each mistake, and the exit code."""
    from isthmus.core.errors import IsthmusError

    if isinstance(error, IsthmusError):
        return "\n".join(error_lines(error)), error.exit_code
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"isthmus: {place}{error.strerror or error}. Check space, path and permissions.", FAULT
    kind = type(error).__name__
    detail = " ".join(str(error).split())
    text = f"isthmus: unexpected error ({kind}: {detail}). Run it with --debug and report the traceback."
    return text, FAULT
