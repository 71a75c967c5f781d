"""The program that breaks the product's source: which mutants it makes, and what they change."""

from pathlib import Path

import pytest

from tests.mutation import source


def texts(tmp_path: Path, text: str) -> dict[str, str]:
    """Kind of mutant → the text with the last mutant of that kind."""
    file = tmp_path / "code.py"
    file.write_text(text, "utf-8")
    return {mutant.kind: source.changed(text, mutant) for mutant in source.mutants_of(file, tmp_path)}


@pytest.mark.parametrize(
    ("text", "kind", "mutated"),
    [
        ("x = 1 if a else 2\n", "if-false", "x = 1 if False else 2\n"),
        ("x = not a\n", "not", "x = a\n"),
        ("x = (a) == (b)\n", "compare", "x = (a) != (b)\n"),
        ("x = a <= 3\n", "compare", "x = a < 3\n"),
        ("x = é in b\n", "compare", "x = é not in b\n"),
        ("x = (a or\n     b)\n", "boolop", "x = (a and b)\n"),
        ("x = a * 2\n", "binop", "x = a / 2\n"),
    ],
)
def test_a_mutant_changes_one_place(tmp_path: Path, text: str, kind: str, mutated: str):
    assert texts(tmp_path, text)[kind] == mutated


def test_imports_for_types_and_joined_texts_are_left_alone(tmp_path: Path):
    assert texts(tmp_path, "if TYPE_CHECKING:\n    import x\nname = a + 'b'\n") == {}


NESTED = """
class Rule:
    def applies(self):
        def inner():
            return 1 < 2
        return inner() or 3 > 4
x = 5 > 6
"""


@pytest.mark.parametrize(
    ("line", "function"),
    [(5, "Rule.applies.<locals>.inner"), (6, "Rule.applies"), (7, None)],
)
def test_a_mutant_belongs_to_the_innermost_function_around_it(
    tmp_path: Path, line: int, function: str | None
):
    (tmp_path / "code.py").write_text(NESTED, "utf-8")
    expected = function and f"code.py::{function}"
    assert source.function_at("code.py", line, tmp_path) == expected


def test_a_functions_name_in_the_record_is_the_one_that_a_mutant_looks_for():
    file, line = "tests/mutation/source.py", source.run_tests.__code__.co_firstlineno
    assert source.function_at(file, line) == f"{file}::{source.run_tests.__code__.co_qualname}"


def test_tests_that_execute_least_come_first_and_whole_folders_where_none_is_known():
    mutant = source.Mutant("isthmus/calibration/beta.py", (1, 0), (1, 1), "compare", "<", "")
    inside = next(
        candidate
        for candidate in source.mutants_of(source.ROOT / "isthmus/calibration/beta.py")
        if source.function_at(candidate.file, candidate.start[0])
    )
    function = source.function_at(inside.file, inside.start[0])
    executed = {
        "tests/calibration": {"broad": {function, "other"}, "narrow": {function}, "elsewhere": {"other"}}
    }
    assert source.tests_for(inside, executed) == ["narrow", "broad"]  # type: ignore[arg-type]
    assert source.tests_for(mutant, {"tests/calibration": {}}) == ["tests/calibration"]


def test_the_same_seed_draws_the_same_sample():
    folder = ["isthmus/core"]
    assert source.draw(folder, 5, "seed") == source.draw(folder, 5, "seed") != source.draw(folder, 5, "other")


def test_every_package_with_fast_tests_is_mapped_to_tests_that_exist():
    for folder, tests in source.TESTS.items():
        assert (source.ROOT / folder).is_dir()
        assert all((source.ROOT / name).exists() for name in tests)
