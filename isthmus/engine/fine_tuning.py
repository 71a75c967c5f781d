"""Runs the trainer on this machine, in its own environment: fine-tunes an adapter by a recipe."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused
from sandbox.processes import end_processes
from sandbox.toolchain.packages import Packages
from trainer import data_sets, manifest, recipe
from trainer.errors import EXIT_CODES, Kind, TrainerError
from trainer.manifest import Manifest
from trainer.signing import read_key

ROOT = Path(manifest.__file__).parents[1]
TRAINER = Packages("trainer", Path(manifest.__file__).with_name("trainer.lock"))
END_S = 120.0
"""Seconds that the trainer has to end its step and write a checkpoint."""
_ERRORS: dict[Kind, type[IsthmusError]] = {
    "refused": Refused,
    "input": InputError,
    "environment": EnvironmentFault,
}
_START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('trainer', run_name='__main__')"
)
"""Starts the trainer in an isolated interpreter, which looks into no folder by itself."""


@dataclass(frozen=True)
class Files:
    """What a fine-tune reads and writes."""

    recipe: Path
    base: Path
    """Folder with the weights of the base model."""
    output: Path
    signing_key: Path | None


def check(files: Files, today: date) -> recipe.Recipe:
    """Check the recipe and its data before anything is installed or started.

    Raises:
        InputError: the recipe, a line of the data or the key is wrong.
        Refused: the recipe may not use its data.
    """
    with _translated():
        parsed = recipe.load(files.recipe)
        data_sets.read(parsed, files.recipe.parent, today)
        if files.signing_key is not None:
            read_key(files.signing_key)
        return parsed


def verify(output: Path, public_key: str | None) -> Manifest:
    """The manifest of an output folder. Raises `Refused` or `InputError`: it, its signature or the adapter is wrong."""
    with _translated():
        return manifest.read(output, public_key)


def run(files: Files, progress: Callable[[dict[str, Any]], None]) -> Manifest:
    """Train, or go on where the last run ended.

    Args:
        files: what to read and write.
        progress: is told each line of the trainer: `stage`, or `step`, `steps` and `loss`, or `checkpoint`.

    Returns:
        The manifest of the adapter, whatever the check for memorised data says.

    Raises:
        InputError, Refused, EnvironmentFault: there is no adapter.
        KeyboardInterrupt: the trainer was interrupted. A checkpoint was written.
    """
    TRAINER.install()
    with tempfile.TemporaryDirectory(prefix="isthmus-fine-tune-") as temporary:
        errors = Path(temporary, "errors.log")
        last, code = _run_program(files, errors, progress)
        if last.get("interrupted"):
            raise KeyboardInterrupt
        if "error" in last:
            raise _ERRORS[last["error"]](last["what"], where=last["where"], fix=last["fix"])
        if "manifest" not in last or code not in (0, EXIT_CODES["refused"]):
            lines = errors.read_text("utf-8", errors="replace").strip().splitlines()
            kind = lines[-1].partition(":")[0][:100] if lines else ""  # what follows may quote an example
            raise EnvironmentFault(
                f"the trainer ended with {code}{f' ({kind})' if kind else ''}",
                where=str(files.output),
                fix="Run the command again: it goes on at the last checkpoint",
            )
        return Manifest.model_validate_json(json.dumps(last["manifest"]))


def _run_program(
    files: Files, errors: Path, progress: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], int]:
    """Run the trainer to its end. Returns its last line and its exit code."""
    arguments = [files.recipe.absolute(), "--base", files.base.absolute(), "-o", files.output.absolute()]
    if files.signing_key is not None:
        arguments += ["--signing-key", files.signing_key.absolute()]
    last: dict[str, Any] = {}
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [str(TRAINER.program("python")), "-I", "-c", _START, str(ROOT), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={"PATH": os.defpath, "HOME": str(errors.parent), "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout:
        try:
            for line in process.stdout:
                last = json.loads(line)
                progress(last)
            code = process.wait()
        finally:
            if process.poll() is None:
                end_processes([psutil.Process(process.pid)], patience_s=END_S)
                process.wait()
    return last, code


@contextmanager
def _translated() -> Iterator[None]:
    """Turn an error of the trainer into one of the command line."""
    try:
        yield
    except TrainerError as error:
        raise _ERRORS[error.kind](error.what, where=error.where, fix=error.fix) from None
