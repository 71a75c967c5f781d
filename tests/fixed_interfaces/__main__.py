"""`python -m tests.fixed_interfaces [NAME...]` compares the product with the samples; `--write` writes them.

`--against DIR` renders every stack and example with this checkout and with the one at DIR, and prints a unified diff.
Exit codes: 0 equal or written, 1 different, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fixed_interfaces import checkouts, tables
from tests.fixed_interfaces.samples import RENDERED, SAMPLES
from tests.fixed_interfaces.sources import ROOT


def main(arguments: list[str] | None = None) -> int:
    """Compare, write or diff; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fixed_interfaces", description=__doc__)
    names = [*SAMPLES, *RENDERED]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"interfaces; default: all of {', '.join(names)}"
    )
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--write", action="store_true", help="write the samples")
    modes.add_argument(
        "--against", type=Path, metavar="DIR", help="diff this checkout's renderings with DIR's"
    )
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(names)):
        parser.error(f"there is no interface {', '.join(unknown)}; the interfaces are {', '.join(names)}")
    if options.against is not None:
        if not (options.against / "pyproject.toml").is_file():
            parser.error(f"{options.against} is not a checkout of Isthmus: it has no pyproject.toml")
        return diff(options.against.resolve())
    code = 0
    for name, table in collect(options.names or names).items():
        lines = tables.differences(tables.read(name), table)
        entries = f"{name}: {len(table)} entries"
        print(f"{entries}, {'equal' if not lines else f'{len(lines)} lines of differences'}")
        print("".join(f"  {line}\n" for line in lines), end="")
        if options.write:
            tables.write(name, table)
        elif lines:
            code = 1
    return code


def collect(names: list[str]) -> dict[str, dict[str, str]]:
    """The tables of these interfaces; the stacks are rendered only where one of them needs it."""
    samples = {name: SAMPLES[name]() for name in names if name in SAMPLES}
    rendered_names = [name for name in names if name in RENDERED]
    if rendered_names:
        # Imported here: the renderer loads Pulumi's SDK, and most interfaces need neither.
        from tests.graders import examples

        with tempfile.TemporaryDirectory() as folder:
            examples.write(Path(folder))
            samples |= {name: RENDERED[name](Path(folder)) for name in rendered_names}
    return samples


def diff(base_checkout: Path) -> int:
    """Print how the renderings of another checkout differ from this one's: `before` is the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkouts.render(base_checkout, folder / "before")
        checkouts.render(ROOT, folder / "after")
        lines = checkouts.unified_diff(folder / "before", folder / "after")
    sys.stdout.writelines(lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
