"""Measures what redaction finds, and the time that it adds.

    python -m bench.redaction quality [--write]      our labelled sentences: recall, precision, leaks
    python -m bench.redaction outside [--write]      sentences from outside the project: recall of identifiers
    python -m bench.redaction time [--write]         milliseconds by prompt length, of the detector and of the edge

The first run fetches the French model by its digest and creates an environment for Presidio. `--write` puts the tables
into docs/redaction.md. Exit 1 if recall of numbers with check digits is below 99 %, or recall of identifiers in outside
sentences is below 97 %.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "redaction.md"


def main(arguments: list[str]) -> int:
    """Measure, print, and write the document with `--write`."""
    parser = argparse.ArgumentParser(prog="bench.redaction", description=__doc__)
    parser.add_argument("what", choices=["quality", "outside", "time"])
    parser.add_argument("--write", action="store_true", help="into docs/redaction.md")
    options = parser.parse_args(arguments)
    if options.what == "quality":
        from bench.redaction.quality_tables import tables
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
