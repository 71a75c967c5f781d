"""The evaluation of a workload: `evaluations/WORKLOAD/evaluation.yaml` with its tasks, thresholds and budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from isthmus.contracts.vocabulary import DnsLabel, FilePart, Sensitivity
from isthmus.core import yaml_files
from isthmus.core.digests import sha256_of
from isthmus.core.errors import FieldError, InputError, IsthmusError, join
from isthmus.evaluation.cases import Case, Message, digest_of_cases, read_cases
from isthmus.evaluation.duplicates import Duplicate, find_duplicates

FOLDER = "evaluations"
"""Folder of a project with a folder for each workload."""
FILE = "evaluation.yaml"
Check = Literal["exact", "contains", "fields", "refusal", "tool", "rubric"]
Share = Annotated[float, Field(ge=0, le=1, json_schema_extra={"unit": "score from 0 to 1"})]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A file of the same folder."""


class Task(FilePart):
    """Cases that are checked in one way."""

    name: DnsLabel
    """Name of the task."""
    check: Check
    """`exact`: the answer is one of the expected texts. `contains`: it has all of them. `fields`: its JSON object has
    the expected values; the score is their share. `refusal`: it refuses, or not, as expected. `tool`: it calls the
    expected tool. `rubric`: a judge model scores it."""
    cases: list[FileName] = Field(min_length=1)
    """Files of cases."""
    is_safety: bool = Field(default=False, alias="safety")
    """Whether the task is about safety. It does not count towards the score, and has a threshold of its own."""
    min_score: Share | None = None
    """The least score of the task."""
    max_loss: Share = 0.03
    """How much lower than the version in use the candidate's score may be."""
    max_tokens: int = Field(default=512, ge=1, le=32768)
    """Tokens of an answer at most."""
    rubric: str | None = None
    """`rubric`: what a right answer has, for the judge."""

    @model_validator(mode="after")
    def _rubric(self) -> Task:
        if (self.check == "rubric") != (self.rubric is not None):
            raise FieldError(
                "`rubric` and `check: rubric` belong together",
                fix="Write what a right answer has below `rubric`",
            )
        return self


class Judge(FilePart):
    """The model that scores answers by a rubric: a workload of the same class."""

    workload: DnsLabel
    """Its workload. The model must be another than the ones that are evaluated."""


class Budget(FilePart):
    """What one run may take. A run that ends by its budget goes on with the next one."""

    tokens: int = Field(default=2_000_000, ge=1)
    """Tokens of prompts and answers."""
    minutes: float = Field(default=60, gt=0)
    """Minutes."""


class Evaluation(FilePart):
    """How the models of a workload are evaluated."""

    tasks: list[Task] = Field(min_length=1)
    """What is tried."""
    min_score: Share
    """The least score of the workload: the mean over the cases of all tasks but those of safety."""
    system_prompt: FileName | None = None
    """File with the workload's system prompt. It precedes each case."""
    judge: Judge | None = None
    """Who scores the tasks with a rubric."""
    training_data: list[FileName] = []
    """Files with texts that a tuned model was trained on. A case that is in them does not count."""
    budget: Budget = Budget()
    """What one run may take."""

    @model_validator(mode="after")
    def _whole(self) -> Evaluation:
        from isthmus.core.uniqueness import unique

        unique(self.tasks, "name", "tasks")
        if self.judge is None and (asking := [task.name for task in self.tasks if task.check == "rubric"]):
            raise FieldError(
                f"the task `{asking[0]}` needs a judge",
                fix="Name a workload of the same class below `judge: {workload: …}`",
            )
        if all(task.is_safety for task in self.tasks):
            raise FieldError(
                "every task is about safety, so there is no score", fix="Add a task of another kind"
            )
        return self


@dataclass(frozen=True)
class LoadedTask:
    """A task with its cases."""

    task: Task
    cases: Sequence[Case]


@dataclass(frozen=True)
class Loaded:
    """An evaluation with its cases and prompt."""

    evaluation: Evaluation
    folder: Path
    sha256: str
    """Digest of the definition's file."""
    tasks: Sequence[LoadedTask]
    system: Message | None
    duplicates: Sequence[Duplicate]
    """Cases that another case or a text of the training data repeats. The later one does not count."""

    @property
    def cases_sha256(self) -> str:
        """Digest of all cases."""
        return digest_of_cases({part.task.name: part.cases for part in self.tasks})

    @property
    def prompt_sha256(self) -> str | None:
        """Digest of the system prompt; None without one."""
        return sha256_of(self.system.content) if self.system else None

    @cached_property
    def counted(self) -> list[LoadedTask]:
        """The tasks, with the cases that count."""
        excluded = {duplicate.case for duplicate in self.duplicates}
        return [
            LoadedTask(part.task, [case for case in part.cases if case.id not in excluded])
            for part in self.tasks
        ]


def folder_of(project: Path, workload: str) -> Path:
    """The folder of a workload's evaluation. Raises `InputError` if the project has none."""
    folder = project / FOLDER / workload
    if (folder / FILE).is_file():
        return folder
    present = sorted(found.parent.name for found in (project / FOLDER).glob(f"*/{FILE}"))
    known = f"there are evaluations of {', '.join(present)}" if present else "the project has none yet"
    raise InputError(
        f"the workload `{workload}` has no evaluation; {known}",
        where=str(folder / FILE),
        fix="Write its tasks and cases (docs/evaluation.md)",
    )


def load(folder: Path, data_class: Sensitivity) -> Loaded:
    """Read the evaluation of a folder.

    Args:
        folder: the workload's folder.
        data_class: class of the workload.

    Raises `InputError`, and `Refused` for a case of a higher class.
    """
    file = folder / FILE
    evaluation = yaml_files.parse(Evaluation, yaml_files.load(file))
    tasks, faults = [], list[IsthmusError]()
    for task in evaluation.tasks:
        cases: list[Case] = []
        for name in task.cases:
            try:
                cases += read_cases(folder / name, data_class)
            except IsthmusError as error:
                faults.append(error)
        faults += [fault for case in cases if (fault := _unfit(task, case, folder)) is not None]
        tasks.append(LoadedTask(task, cases))
    faults += _repeated(tasks, file)
    if faults:
        raise join(faults[:50])
    system = None
    if evaluation.system_prompt is not None:
        system = Message(role="system", content=_text(folder / evaluation.system_prompt))
    training = [text for name in evaluation.training_data for text in _texts(folder / name)]
    duplicates: list[Duplicate] = []
    for part in tasks:
        found = find_duplicates(part.cases, training)
        if len(found) == len(part.cases):
            faults.append(
                InputError(
                    f"no case of the task `{part.task.name}` counts: all of them are in the training data",
                    where=str(file),
                    fix="Write cases that the model was not trained on",
                )
            )
        duplicates += found
    if faults:
        raise join(faults)
    return Loaded(evaluation, folder, sha256_of(file.read_bytes()), tasks, system, duplicates)


def digests_of(folder: Path) -> tuple[str, str | None]:
    """Digests of an evaluation's file and of its system prompt (None without one). Raises `InputError`."""
    evaluation = yaml_files.parse(Evaluation, yaml_files.load(folder / FILE))
    prompt = evaluation.system_prompt
    return (
        sha256_of((folder / FILE).read_bytes()),
        None if prompt is None else sha256_of(_text(folder / prompt)),
    )


def files_of_cases(folder: Path) -> list[Path]:
    """The files of cases that the evaluation of a folder names."""
    evaluation = yaml_files.parse(Evaluation, yaml_files.load(folder / FILE))
    return [folder / name for name in dict.fromkeys(name for task in evaluation.tasks for name in task.cases)]


_NEEDED = {
    "exact": "`expected` with a text, or a list of texts",
    "contains": "`expected` with a text, or a list of texts",
    "fields": "`expected` with an object of fields",
    "refusal": "`refuse` with true or false",
    "tool": "`call` with the tool's name, and `tools`",
}


def _unfit(task: Task, case: Case, folder: Path) -> InputError | None:
    """Why a check cannot be made of a case."""
    fits = {
        "exact": isinstance(case.expected, (str, list)) and bool(case.expected),
        "contains": isinstance(case.expected, (str, list)) and bool(case.expected),
        "fields": isinstance(case.expected, dict) and bool(case.expected),
        "refusal": case.refuse is not None,
        "tool": case.call is not None and bool(case.tools),
        "rubric": True,
    }
    if fits[task.check]:
        return None
    return InputError(
        f"the case `{case.id}` lacks what `check: {task.check}` compares",
        where=f"{folder / FILE} tasks[{task.name}]",
        fix=f"Write {_NEEDED[task.check]}",
    )


def _repeated(tasks: Sequence[LoadedTask], file: Path) -> list[IsthmusError]:
    counts = Counter(case.id for part in tasks for case in part.cases)
    return [
        InputError(
            f"the case `{name}` comes {count} times", where=str(file), fix="Give each case a name of its own"
        )
        for name, count in counts.items()
        if count > 1
    ]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read: {error}", where=str(file)) from None


def _texts(file: Path) -> list[str]:
    """The texts of a file of training data: each line is one, as JSON or as plain text."""
    import json

    texts = []
    for line in _text(file).splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            content = line
        texts.append(" ".join(_strings(content)))
    return texts


def _strings(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, dict):
        return [text for value in content.values() for text in _strings(value)]
    if isinstance(content, list):
        return [text for value in content for text in _strings(value)]
    return []
