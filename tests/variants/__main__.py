"""`python -m tests.variants [TABLE...]` compares changed documents with the samples; `--write` writes the samples.

Exit codes: 0 equal or written, 1 different, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import sys

from tests.fixed_interfaces import tables
from tests.variants.outcomes import SAMPLES, TABLES, table


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.variants", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"default: {', '.join(TABLES)}")
    parser.add_argument("--write", action="store_true", help="write the samples")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.tables) - set(TABLES)):
        parser.error(f"there is no table {', '.join(unknown)}; the tables are {', '.join(TABLES)}")
    code = 0
    for name in options.tables or TABLES:
        outcomes = table(name)
        lines = tables.differences(tables.read(name, SAMPLES), outcomes)
        print(f"{name}: {len(outcomes)} variants, {len(lines)} lines of differences")
        if options.write:
            tables.write(name, outcomes, SAMPLES)
        elif lines:
            print("\n".join(lines))
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
