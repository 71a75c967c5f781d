"""What `make test` does with a test that fails: its file runs once more, alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.again import MOST, Failed, alone, files_of, verdict

OK, BAD, BROKEN = (int(pytest.ExitCode(code)) for code in (0, 1, 2))
pytest_plugins = ["pytester"]


class Repeats:
    def __init__(self, status: int) -> None:
        self.status = status
        self.files: list[list[str]] = []

    def __call__(self, files: Sequence[str]) -> int:
        self.files.append(list(files))
        return self.status


def test_a_run_without_a_failure_is_not_repeated():
    repeats = Repeats(BAD)
    assert verdict(OK, [], repeats) == OK
    assert repeats.files == []


def test_the_whole_file_of_a_failed_test_runs_again_and_its_result_counts(capsys: pytest.CaptureFixture[str]):
    repeats = Repeats(OK)
    failed = [
        "tests/a/test_a.py::test_one",
        "tests/b/test_b.py::test_two[x]",
        "tests/a/test_a.py::test_three",
    ]
    assert verdict(BAD, failed, repeats) == OK
    assert repeats.files == [["tests/a/test_a.py", "tests/b/test_b.py"]]
    output = capsys.readouterr().out
    assert "FAILED ONCE" in output
    assert all(test in output for test in failed)


def test_what_fails_both_times_fails_the_run(capsys: pytest.CaptureFixture[str]):
    assert verdict(BAD, ["tests/a/test_a.py::test_one"], Repeats(BAD)) == BAD
    assert "FAILED ONCE" not in capsys.readouterr().out


def test_more_than_a_few_failures_are_not_repeated():
    repeats = Repeats(OK)
    assert verdict(BAD, [f"tests/test_{number}.py::test" for number in range(MOST + 1)], repeats) == BAD
    assert repeats.files == []


@pytest.mark.parametrize("status", [BROKEN, int(pytest.ExitCode.NO_TESTS_COLLECTED)])
def test_a_run_that_broke_off_is_not_repeated(status: int):
    repeats = Repeats(OK)
    assert verdict(status, ["tests/a/test_a.py::test_one"], repeats) == status
    assert repeats.files == []


def test_the_repetition_has_no_other_workers_and_the_same_choice_of_tests():
    choice = ["-q", "-n", "4", "-m", "not soak", "--turn", "3"]
    assert alone(choice) == [*choice, "-n", "0"]


def test_failures_of_tests_and_of_their_fixtures_are_noted(pytester: pytest.Pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def broken():
            raise RuntimeError

        def test_good(): ...

        def test_bad(): raise AssertionError

        def test_of_a_broken_fixture(broken): ...
        """
    )
    failed = Failed()
    pytester.inline_run(plugins=[failed])
    [file] = files_of(list(failed.tests))
    assert [name.removeprefix(f"{file}::") for name in failed.tests] == [
        "test_bad",
        "test_of_a_broken_fixture",
    ]
