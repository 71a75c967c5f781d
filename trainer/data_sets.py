"""The data sets of a recipe: proves that they are what the recipe says, and reads their examples.

A data set is a folder of `isthmus sanitise` with its manifest, or a file of `isthmus audit corrections`. A line is an
example: a conversation that ends with the answer to learn.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from edge.classes import DataClass
from trainer.errors import TrainerError
from trainer.manifest import DataFacts
from trainer.recipe import CLASSES, DOCS, DataSet, Recipe

MANIFEST, SUMMARY = "manifest.jsonl", "summary.json"
ROLES = ("system", "user", "assistant")
_STATED = ("id", "class", "source", "consent", "licence", "sha256")
"""Keys that a line may have beside the example."""
_CORRECTION = frozenset({"request", "correction"})


@dataclass(frozen=True)
class Example:
    """A conversation, and the answer to learn."""

    messages: tuple[tuple[str, str], ...]
    """Role and text of each message before the answer."""
    answer: str

    @property
    def sha256(self) -> str:
        """Digest of its texts. Equal examples have equal digests, whatever file they are in."""
        text = json.dumps([self.messages, self.answer], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class _Facts:
    """What the lines of a data set say, collected."""

    classes: set[DataClass]
    sources: set[str]
    consents: set[str]
    licences: set[str]
    rules: set[str]
    until: set[str]


def read(recipe: Recipe, folder: Path, today: date) -> tuple[list[Example], list[DataFacts]]:
    """Read the examples of a recipe.

    Args:
        recipe: the recipe.
        folder: to which the paths of its data sets are relative.
        today: data that had to be deleted before this day is refused.

    Returns:
        The examples, each once, ordered by digest; and the lineage of each data set.

    Raises:
        TrainerError: a file is not what its digest says, a line is no example, or the recipe may not use the data.
    """
    examples: dict[str, Example] = {}
    lineage = []
    for index, data in enumerate(recipe.data):
        facts = _Facts(set(), set(), set(), set(), set(), set())
        files = (
            _sanitised_files(data, folder, facts, index) if data.sanitised else [_corrections(data, folder)]
        )
        before = 0
        for file in files:
            for where, line in _lines(file):
                _note(facts, line, data, where, index)
                for example in _examples(line, where):
                    examples[example.sha256] = example
                    before += 1
        lineage.append(_lineage(data, facts, before))
        _check_use(recipe, lineage[-1], facts, index, today)
    if len(examples) < 2:
        raise TrainerError(
            "input", f"there are {len(examples)} different examples, and 2 are needed", "data", "Add examples"
        )
    return [examples[digest] for digest in sorted(examples)], lineage


def _lineage(data: DataSet, facts: _Facts, examples: int) -> DataFacts:
    return DataFacts.model_validate(
        {
            "kind": "sanitised" if data.sanitised else "corrections",
            "sha256": data.sha256,
            "class": CLASSES[max((CLASSES.index(name) for name in facts.classes), default=0)],
            "examples": examples,
            "sources": tuple(sorted(facts.sources)),
            "consents": tuple(sorted(facts.consents)),
            "licences": tuple(sorted(facts.licences)),
            "groups": tuple(sorted(set(data.groups))),
            "rules": tuple(sorted(facts.rules)),
            "keep_until": min(facts.until, default=None),
        }
    )


def _check_use(recipe: Recipe, lineage: DataFacts, facts: _Facts, index: int, today: date) -> None:
    if not lineage.examples:
        raise TrainerError("input", "the data set has no example", f"data[{index}]", "Remove it")
    if CLASSES.index(lineage.data_class) > CLASSES.index(recipe.data_class):
        raise TrainerError(
            "refused",
            f"the data set is {lineage.data_class}, and the adapter is {recipe.data_class}: an adapter may only "
            "learn from data of its class or a lower one",
            f"data[{index}]",
            f"Train it as `class: {lineage.data_class}`, or leave the data set out",
        )
    if facts.until and (first := min(facts.until)) < today.isoformat():
        raise TrainerError(
            "refused",
            f"lines of the data set had to be deleted by {first}",
            f"data[{index}]",
            "Delete them, export the corrections again, and write the new digest",
        )


def _sanitised_files(data: DataSet, folder: Path, facts: _Facts, index: int) -> list[Path]:
    """The files of a sanitised folder, after all of them were proven."""
    assert data.sanitised is not None
    root = folder / data.sanitised
    manifest = _bytes(root / MANIFEST)
    _check_digest(manifest, data.sha256, root / MANIFEST)
    summary = _json(_bytes(root / SUMMARY), str(root / SUMMARY))
    if (
        not summary.get("complete")
        or summary.get("refused")
        or (summary.get("manifest_sha256") != hashlib.sha256(manifest).hexdigest())
    ):
        raise TrainerError(
            "refused",
            "the folder is not the whole output of a finished `isthmus sanitise`",
            str(root / SUMMARY),
            "Run `isthmus sanitise` again until no file is refused",
        )
    files = []
    for number, content in enumerate(manifest.splitlines(), 1):
        where = f"{root / MANIFEST}:{number}"
        entry = _json(content, where)
        path = PurePosixPath(str(entry.get("path", "")))
        if path.is_absolute() or ".." in path.parts or entry.get("class") not in CLASSES:
            raise TrainerError("input", "the line is none that `isthmus sanitise` wrote", where)
        if entry.get("kind") != "jsonl":
            raise TrainerError(
                "input",
                f"{path} is not a JSON Lines file, and the trainer reads no other",
                where,
                "Convert it to .jsonl before you sanitise it, or leave it out of the folder",
            )
        file = root / path
        _check_digest(_bytes(file), f"sha256:{entry.get('sha256_out')}", file)
        facts.classes.add(entry["class"])
        facts.rules.add(str(entry.get("rules", "")))
        files.append(file)
    return files


def _corrections(data: DataSet, folder: Path) -> Path:
    assert data.corrections is not None
    file = folder / data.corrections
    _check_digest(_bytes(file), data.sha256, file)
    return file


def _note(facts: _Facts, line: dict[str, Any], data: DataSet, where: str, index: int) -> None:
    """Collect what a line says, and what the recipe says in its place. Raises `TrainerError` if neither does."""
    is_correction = line.keys() >= _CORRECTION
    data_class = line.get("class")
    if data_class not in CLASSES and (data_class is not None or data.corrections):
        raise TrainerError("input", f"`class` must be one of {', '.join(CLASSES)}", where)
    if data_class is not None:
        facts.classes.add(data_class)
    terms = line.get("terms") if is_correction else None
    terms = terms if isinstance(terms, dict) else {}
    source = data.source or (
        f"corrected answers of {line.get('workload')}" if is_correction else line.get("source")
    )
    for name, value, known in (
        ("source", source, facts.sources),
        ("consent", data.consent or line.get("consent"), facts.consents),
        ("licence", data.licence or line.get("licence") or terms.get("licence"), facts.licences),
    ):
        if not isinstance(value, str) or not value.strip():
            raise TrainerError(
                "input", f"the line has no `{name}`", where, f"Write it into the line, or into data[{index}]"
            )
        known.add(value.strip())
    if is_correction:
        try:
            facts.until.add(date.fromisoformat(str(terms.get("keep_until"))).isoformat())
        except ValueError:
            raise TrainerError(
                "input", "the line does not say until when it may be kept (`terms.keep_until`)", where
            ) from None


def _examples(line: dict[str, Any], where: str) -> Iterator[Example]:
    """The examples of a line: one, or one for each choice of a corrected answer."""
    if line.keys() >= _CORRECTION:
        request, corrections = line["request"], line["correction"]
        if not isinstance(request, dict) or not isinstance(corrections, list):
            raise TrainerError("input", "the line is none that `isthmus audit corrections` wrote", where)
        if request.get("tools"):
            raise TrainerError(
                "input", "the trainer does not learn from requests with tools", where, "Leave the line out"
            )
        prompt = request.get("prompt")
        messages = request.get("messages", [{"role": "user", "content": prompt}])
        for correction in corrections:
            yield _example([*_list(messages, where), {"role": "assistant", "content": correction}], where)
        return
    content = {key: value for key, value in line.items() if key not in _STATED}
    if content.keys() == {"messages"}:
        yield _example(_list(content["messages"], where), where)
    elif content.keys() == {"prompt", "completion"}:
        pair = [
            {"role": "user", "content": content["prompt"]},
            {"role": "assistant", "content": content["completion"]},
        ]
        yield _example(pair, where)
    else:
        unknown = sorted(content.keys() - {"messages", "prompt", "completion"})
        raise TrainerError(
            "input",
            f"the line is no example{f': the key `{unknown[0]}` is unknown' if unknown else ''}",
            where,
            f"Write `messages`, or `prompt` and `completion` ({DOCS})",
        )


def _list(content: Any, where: str) -> list[Any]:
    if not isinstance(content, list):
        raise TrainerError("input", "`messages` must be a list", where)
    return content


def _example(messages: Sequence[Any], where: str) -> Example:
    texts = []
    for message in messages:
        role = message.get("role") if isinstance(message, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if role not in ROLES or not isinstance(content, str) or message.keys() - {"role", "content"}:
            raise TrainerError(
                "input",
                f"a message must have a `role` ({', '.join(ROLES)}) and a text as `content`, and nothing else",
                where,
            )
        texts.append((role, content))
    if len(texts) < 2 or texts[-1][0] != "assistant" or not texts[-1][1].strip():
        raise TrainerError("input", "the conversation must end with an answer of the assistant", where)
    return Example(tuple(texts[:-1]), texts[-1][1])


def _lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and content of each line that is not empty."""
    for number, content in enumerate(_bytes(file).split(b"\n"), 1):
        if content.strip():
            where = f"{file}:{number}"
            yield where, _json(content, where)


def _json(content: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(content.decode("utf-8"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise TrainerError("input", "this is not a JSON object in UTF-8", where)
    return value


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TrainerError("input", f"the file cannot be read: {error.strerror}", str(file)) from None


def _check_digest(content: bytes, digest: str, file: Path) -> None:
    actual = "sha256:" + hashlib.sha256(content).hexdigest()
    if actual != digest:
        raise TrainerError(
            "refused",
            f"the file has the digest {actual}, and {digest} is expected",
            str(file),
            "Undo the change, or read the file and write its digest",
        )
