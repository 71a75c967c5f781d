"""Breaks one condition or operator of the product at a time, and runs the fast tests that execute it.

    python -m tests.mutation.source --seed $(git rev-parse HEAD) --count 300 --results out/mutants.jsonl
    python -m tests.mutation.source --only isthmus/contracts/platform/rules    # every mutant of a folder

The fast tests of the folders that `TESTS` names run once without a mutant, which records the functions that each test
executes. A mutant is killed when a test that executes its function fails, and survives when all pass. So a test on the
sandbox may still notice a survivor. The run can be interrupted: with `--results`, a mutant that has a line there is not
run again.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RENDERINGS = "tests/fixed_interfaces/test_renderings.py"
VARIANTS = "tests/variants"
TESTS = {
    "isthmus/contracts": (
        "tests/contracts", "tests/core", "tests/policies", "tests/components", "tests/blueprints", "tests/stacks",
        RENDERINGS, VARIANTS,
    ),
    "isthmus/core": ("tests/core", "tests/contracts"),
    "isthmus/graph": ("tests/graph", "tests/policies", "tests/reports", "tests/mutation", VARIANTS),
    "isthmus/planning": ("tests/planning", "tests/contracts", "tests/blueprints", RENDERINGS, VARIANTS),
    "isthmus/calibration": ("tests/calibration",),
    "isthmus/blueprints": ("tests/blueprints", "tests/core", RENDERINGS),
    "isthmus/reports": ("tests/reports", "tests/engine", RENDERINGS, VARIANTS),
    "components": ("tests/components", "tests/stacks", RENDERINGS),
    "policies": ("tests/policies", "tests/mutation", VARIANTS),
    "stacks": ("tests/stacks", RENDERINGS),
}  # fmt: skip
"""Folder of the product → folders of tests that mirror it or use it most. The first kills most mutants."""
FAST = "not sandbox and not service and not soak"
SLOWEST_S = 300
"""A run that takes more processor time counts as killed: the mutant loops. A busy machine takes longer, not more."""
COMPARISONS = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*", ast.Mod: "*"}


@dataclass(frozen=True)
class Mutant:
    """One change of one place: the text from `start` to `end` (line, column in UTF-8 bytes) becomes `new`."""

    file: str
    start: tuple[int, int]
    end: tuple[int, int]
    kind: str
    new: str
    source: str

    @property
    def key(self) -> str:
        return f"{self.file}:{self.start[0]}:{self.start[1]}:{self.kind}"


def mutants_of(file: Path, root: Path = ROOT) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of its text."""
    text = file.read_text("utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    skipped = {id(node) for block in ast.walk(tree) if is_skipped(block) for node in ast.walk(block)}

    def mutant(kind: str, start: tuple[int, int], end: tuple[int, int], new: str) -> Mutant:
        return Mutant(str(file.relative_to(root)), start, end, kind, new, lines[start[0] - 1].strip()[:100])

    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.If | ast.IfExp):
            yield mutant("if-false", first(node.test), last(node.test), "False")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield mutant("not", first(node), first(node.operand), "")
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            new = f" {COMPARISONS[type(node.ops[0])]} "
            yield mutant("compare", last(node.left), first(node.comparators[0]), new)
        elif isinstance(node, ast.BoolOp):
            new = " or " if isinstance(node.op, ast.And) else " and "
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield mutant("boolop", last(left), first(right), new)
        elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not is_text(node):
            yield mutant("binop", last(node.left), first(node.right), f" {OPERATORS[type(node.op)]} ")


def first(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def last(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or 0


def is_text(node: ast.BinOp) -> bool:
    """Whether an operator joins or formats text, which is a message more often than a decision."""
    sides = (node.left, node.right)
    return any(isinstance(side, ast.JoinedStr | ast.Constant) and not is_number(side) for side in sides)


def is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def is_skipped(node: ast.AST) -> bool:
    """Imports for types alone, and what runs only as a program."""
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")


def changed(text: str, mutant: Mutant) -> str:
    """The file's text with the mutant in it. Parentheses between two operands are kept."""
    raw, offsets = text.encode(), [0]
    for line in text.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line.encode()))
    start = offsets[mutant.start[0] - 1] + mutant.start[1]
    end = offsets[mutant.end[0] - 1] + mutant.end[1]
    between = raw[start:end].decode()
    new = mutant.new
    if mutant.kind in ("compare", "boolop", "binop"):
        closing = between[: len(between) - len(between.lstrip(" )\n"))]
        opening = between[len(between.rstrip(" (\n")) :]
        new = f"{closing.rstrip()}{mutant.new}{opening.lstrip()}"
    return (raw[:start] + new.encode() + raw[end:]).decode()


def draw(folders: list[str], count: int | None, seed: str) -> list[Mutant]:
    """All mutants of the folders that compile, or a seeded sample of them."""
    found: list[Mutant] = []
    for folder in folders:
        path = ROOT / folder
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            text = file.read_text("utf-8")
            found += [mutant for mutant in mutants_of(file) if compiles(changed(text, mutant))]
    return found if count is None else random.Random(seed).sample(found, min(count, len(found)))


def compiles(text: str) -> bool:
    try:
        compile(text, "mutant", "exec")
    except SyntaxError:
        return False
    return True


def tests_of(file: str) -> tuple[str, ...]:
    return next(tests for folder, tests in TESTS.items() if file.startswith(f"{folder}/"))


def function_at(file: str, line: int, root: Path = ROOT) -> str | None:
    """`FILE::QUALIFIED.NAME` of the innermost function around a line; None at the level of a module or a class."""
    innermost: str | None = None

    def visit(node: ast.AST, prefix: str) -> None:
        nonlocal innermost
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if not child.lineno <= line <= (child.end_lineno or child.lineno):
                    continue
                name = f"{prefix}{child.name}"
                if isinstance(child, ast.ClassDef):
                    visit(child, f"{name}.")
                else:
                    innermost = f"{file}::{name}"
                    visit(child, f"{name}.<locals>.")
            else:
                visit(child, prefix)

    visit(ast.parse((root / file).read_text("utf-8")), "")
    return innermost


def run_tests(tests: list[str], copy: Path, *options: str, **environment: str) -> bool:
    """Whether tests pass in a copy of the checkout, within `SLOWEST_S`."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", FAST, "--hypothesis-profile", "quick"]
    variables = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", **environment}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (SLOWEST_S, SLOWEST_S))

    try:
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", *options, *tests],
            cwd=copy,
            env=variables,
            preexec_fn=limit,
            timeout=10 * SLOWEST_S,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # It waits for something that does not come.
        return False
    return done.returncode in (0, 5)


def record_executed(folder: str, copy: Path) -> dict[str, set[str]]:
    """Test of a folder, all its cases together (tables of variants one by one) → functions that it executes.

    Raises `SystemExit` if a test fails without a mutant.
    """
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        if not run_tests([folder], copy, "-p", "tests.mutation.executed", EXECUTED_FUNCTIONS=file.name):
            raise SystemExit(f"the fast tests of {folder} fail without a mutant")
        executed: dict[str, set[str]] = {}
        for test, functions in json.loads(Path(file.name).read_text()).items():
            name = test if folder == VARIANTS else test.partition("[")[0]
            executed.setdefault(name, set()).update(functions)
        return executed


def tests_for(mutant: Mutant, executed: dict[str, dict[str, set[str]]]) -> list[str]:
    """The tests that execute the mutant's function, those that execute least first; whole folders if none is known."""
    function = function_at(mutant.file, mutant.start[0])
    sizes = {
        test: len(functions)
        for folder in tests_of(mutant.file)
        for test, functions in executed[folder].items()
        if function in functions
    }
    return sorted(sizes, key=sizes.__getitem__) or list(tests_of(mutant.file))


def is_killed(mutant: Mutant, tests: list[str], copy: Path) -> bool:
    """Run the tests in a copy of the checkout that has the mutant."""
    target = copy / mutant.file
    before = target.read_text("utf-8")
    try:
        target.write_text(changed(before, mutant), "utf-8")
        return not run_tests(tests, copy)
    finally:
        target.write_text(before, "utf-8")


def make_copy(folder: Path) -> Path:
    """A copy of the tracked files, with the working tree's changes."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="tests.mutation.source", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seed", default="0", help="text that decides the sample")
    parser.add_argument("--count", type=int, help="size of the sample; all mutants without it")
    parser.add_argument(
        "--only", nargs="+", default=list(TESTS), metavar="PATH", help="files or folders to break"
    )
    parser.add_argument(
        "--results", type=Path, help="JSON lines, one for each mutant; makes the run resumable"
    )
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    known: dict[str, bool] = {}
    if options.results and options.results.exists():
        rows = [json.loads(line) for line in options.results.read_text("utf-8").splitlines()]
        known = {row["key"]: row["killed"] for row in rows}
    mutants = draw(options.only, options.count, options.seed)
    todo = [mutant for mutant in mutants if mutant.key not in known]
    print(f"{len(mutants)} mutants, {len(todo)} to run", flush=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.workers) as pool:
        copies = [make_copy(Path(folder, str(number))) for number in range(options.workers)]
        needed = sorted({folder for mutant in todo for folder in tests_of(mutant.file)})
        executed = {folder: record_executed(folder, copies[0]) for folder in needed}

        def run(mutant: Mutant) -> bool:
            copy = copies.pop()
            try:
                return is_killed(mutant, tests_for(mutant, executed), copy)
            finally:
                copies.append(copy)

        for mutant, killed in zip(todo, pool.map(run, todo), strict=True):
            known[mutant.key] = killed
            if options.results:
                options.results.parent.mkdir(parents=True, exist_ok=True)
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**asdict(mutant), "key": mutant.key, "killed": killed}) + "\n")
            if not killed:
                print(f"survived: {mutant.file}:{mutant.start[0]} {mutant.kind}: {mutant.source}", flush=True)
    killed = Counter(known[mutant.key] for mutant in mutants)[True]
    print(f"{killed} of {len(mutants)} killed ({killed / max(1, len(mutants)):.0%})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
