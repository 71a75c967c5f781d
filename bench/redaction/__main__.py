"""What redaction finds, and the time it adds.

    python -m bench.redaction quality [--write]      the labelled sentences: recall, precision, what leaks
    python -m bench.redaction outside [--write]      sentences that nobody here wrote: identifiers found
    python -m bench.redaction time [--write]         milliseconds by a prompt's length, at the core and at the edge

The first run fetches the French model by its digest and makes an environment for Presidio. `--write` puts the tables
into docs/redaction.md. Exit 1 where a number with a check digit is found in fewer than 99 of 100 sentences, or an
identifier of outside sentences in fewer than 97.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "redaction.md"


def main(arguments: list[str]) -> int:
    """Measure, print, and write where that is asked."""
    parser = argparse.ArgumentParser(prog="bench.redaction", description=__doc__)
    parser.add_argument("what", choices=["quality", "outside", "time"])
    parser.add_argument("--write", action="store_true", help="into docs/redaction.md")
    options = parser.parse_args(arguments)
    if options.what == "quality":
        from bench.redaction.found import tables
    elif options.what == "outside":
        from bench.redaction.outside import tables
    else:
        from bench.redaction.timing import tables
    text, fine = tables()
    print(text)
    if options.write:
        marks = (f"<!-- bench.redaction {options.what} -->", "<!-- end -->")
        old = DOCUMENT.read_text()
        new = re.sub(f"({marks[0]}\n).*?({marks[1]})", lambda m: m[1] + text + "\n" + m[2], old, flags=re.S)
        DOCUMENT.write_text(new)
    return 0 if fine else 1


sys.exit(main(sys.argv[1:]))
