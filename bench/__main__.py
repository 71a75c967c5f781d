"""Runs benchmarks: `python -m bench [command_line] [large_plans] [spine] [scale]`.

Without names it runs all of them. Exit 1 if one exceeds its bound.
"""

from __future__ import annotations

import importlib
import platform
import sys

BENCHMARKS = ("command_line", "large_plans", "spine", "scale")


def main(names: list[str]) -> int:
    if "--help" in names:
        print(__doc__)
        return 0
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"bench: no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {platform.machine()}")
    fine = [importlib.import_module(f"bench.{name}").main() for name in names or BENCHMARKS]
    return 0 if all(fine) else 1


sys.exit(main(sys.argv[1:]))
