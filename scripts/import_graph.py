"""Draws which package imports which, as a matrix: `python -m scripts.import_graph docs/pictures/imports.svg`.

A row is a package, a column what it imports, both from the highest layer to the lowest; a cell is the number of imports
between their modules, also inside functions and for types. Right of the diagonal an import goes down a layer, as
it should; left of it the import goes up, and the cell is red. `--checkout FOLDER` draws another checkout.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from html import escape
from pathlib import Path

ROOTS = ("isthmus", "policies", "components", "stacks", "sandbox", "edge")
LAYERS = (
    *("isthmus.cli", "isthmus.engine", "isthmus.reports", "isthmus.report", "stacks"),
    *("components", "policies", "sandbox", "isthmus.blueprints", "isthmus.catalogue"),
    *("isthmus.planning", "isthmus.calibration", "isthmus.graph", "isthmus.contracts"),
    *("isthmus.core", "isthmus", "edge"),
)
"""From the highest layer to the lowest, with names of earlier checkouts. Other packages belong to their parent."""
OPEN = ("components", "isthmus.contracts", "edge", "policies", "sandbox", "isthmus.engine")
"""Packages that are drawn by their own packages, in the order in which these import each other."""
CELL, LEFT, TOP = 18, 250, 250


def read_imports(checkout: Path) -> dict[str, set[str]]:
    """Module → modules that it imports, in a process of its own: grimp reads the packages of its `sys.path`."""
    code = (
        "import grimp, json, sys\n"
        "roots = [root for root in sys.argv[1:] if __import__('pathlib').Path(root).is_dir()]\n"
        "graph = grimp.build_graph(*roots, include_external_packages=False, cache_dir=None)\n"
        "print(json.dumps({m: sorted(graph.find_modules_directly_imported_by(m)) for m in graph.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *ROOTS],
        cwd=checkout,
        env={"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {module: set(imported) for module, imported in json.loads(done.stdout).items()}


def package_of(module: str, packages: set[str]) -> str:
    """The row of a module: the longest package of `packages` that holds it."""
    parts = module.split(".")
    return next(name for length in range(len(parts), 0, -1) if (name := ".".join(parts[:length])) in packages)


def order(imports: dict[str, set[str]]) -> list[str]:
    """The packages, from the highest to the lowest; those of an open package by whom they import."""
    modules = set(imports)
    parents = {module.rpartition(".")[0] for module in modules}
    rows: list[str] = []
    for layer in (layer for layer in LAYERS if layer in modules):
        inside = sorted(
            module for module in modules & parents if module.rpartition(".")[0] == layer and layer in OPEN
        )
        rows += sort_by_imports([layer, *inside], imports)
    return rows


def sort_by_imports(packages: list[str], imports: dict[str, set[str]]) -> list[str]:
    """Packages with those first that no remaining one imports; in a cycle, the one that is imported least."""
    names = set(packages)
    edges = Counter(
        (source, target)
        for module, imported in imports.items()
        for other in imported
        if any(module == name or module.startswith(f"{name}.") for name in names)
        and any(other == name or other.startswith(f"{name}.") for name in names)
        if (source := package_of(module, names)) != (target := package_of(other, names))
    )
    ordered: list[str] = []
    while names:
        first = min(
            sorted(names),
            key=lambda name: sum(
                n for (source, target), n in edges.items() if target == name and source in names
            ),
        )
        ordered.append(first)
        names.remove(first)
    return ordered


def cycles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, the largest group first ."""
    from graphlib import CycleError, TopologicalSorter

    groups: list[list[str]] = []
    remaining = {module: set(imported) for module, imported in imports.items()}
    while True:
        try:
            TopologicalSorter(remaining).prepare()
            return sorted(groups, key=len, reverse=True)
        except CycleError as error:
            start = error.args[1][0]
            group = sorted(_reachable(start, remaining) & _reachable(start, _reversed(remaining)))
            groups.append(group)
            remaining = {
                module: imported - set(group) for module, imported in remaining.items() if module not in group
            }


def _reachable(start: str, imports: dict[str, set[str]]) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        for module in imports.get(waiting.pop(), set()) - seen:
            seen.add(module)
            waiting.append(module)
    return seen


def _reversed(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    importers: dict[str, set[str]] = {}
    for module, imported in imports.items():
        for other in imported:
            importers.setdefault(other, set()).add(module)
    return importers


def draw(imports: dict[str, set[str]], title: str) -> str:
    """The matrix as SVG."""
    rows = order(imports)
    packages = set(rows)
    counts = Counter(
        (package_of(module, packages), package_of(other, packages))
        for module, imported in imports.items()
        for other in imported
    )
    upward = sum(
        number for (source, target), number in counts.items() if rows.index(target) < rows.index(source)
    )
    groups = cycles(imports)
    size = CELL * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + size + 20}" height="{TOP + size + 60}">',
        "<style>text { font: 11px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-size="15">{escape(title)}</text>',
        f'<text x="10" y="40">{len(imports)} modules, {sum(map(len, imports.values())):,} imports</text>',
        f'<text x="10" y="56">imports that go up: {upward}</text>',
        f'<text x="10" y="72">import cycles: {len(groups)} ({sum(map(len, groups))} modules)</text>',
    ]
    for index, name in enumerate(rows):
        place = index * CELL
        shade = "#f4f4f4" if index % 2 else "white"
        parts.append(f'<rect x="{LEFT}" y="{TOP + place}" width="{size}" height="{CELL}" fill="{shade}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{TOP + place + 13}" text-anchor="end">{escape(name)}</text>')
        turned = f'transform="translate({LEFT + place + 13},{TOP - 6}) rotate(-60)"'
        parts.append(f"<text {turned}>{escape(name)}</text>")
        parts.append(
            f'<rect x="{LEFT + place}" y="{TOP + place}" width="{CELL}" height="{CELL}" fill="#999999"/>'
        )
    for (source, target), number in sorted(counts.items()):
        row, column = rows.index(source), rows.index(target)
        if row == column:
            continue
        colour = "#c62828" if column < row else "#1565c0"
        x, y = LEFT + column * CELL, TOP + row * CELL
        opacity = min(1.0, 0.25 + number / 40)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{colour}" fill-opacity="{opacity:.2f}"/>'
            f'<text x="{x + CELL // 2}" y="{y + 13}" text-anchor="middle" font-size="9">{number}</text>'
        )
    legend = "Row imports column. Right of the diagonal: down a layer (blue). Left of it: up (red)."
    parts.append(f'<text x="10" y="{TOP + size + 30}">{legend}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts.import_graph", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("picture", type=Path, help="SVG file to write")
    parser.add_argument("--checkout", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--title", default="Imports between the packages")
    options = parser.parse_args(arguments)
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(draw(read_imports(options.checkout), options.title), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
