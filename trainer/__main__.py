"""`python -m trainer`: trains an adapter. Prints its progress as JSON, a line each.

    python -m trainer RECIPE --base FOLDER -o FOLDER [--checkpoints FOLDER] [--signing-key FILE]

Exit codes: 0 there is an adapter; 1 refused, or the adapter knows too much by heart; 2 the input is wrong; 3 the
environment is wrong; 130 interrupted. After an interruption or a kill the same command goes on at the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from trainer.errors import EXIT_CODES, TrainerError

INTERRUPTED = 130
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""The libraries ask nobody for anything, and compute the same again."""


def main(arguments: list[str] | None = None) -> int:
    """Train. Returns the exit code."""
    options = _parser().parse_args(arguments)
    os.environ.update(OFFLINE)
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    # What libraries print is not progress. Errors stay on standard error.
    progress, sys.stdout = sys.stdout, sys.stderr

    def report(line: dict[str, Any]) -> None:
        try:
            print(json.dumps(line), file=progress, flush=True)
        except BrokenPipeError:  # nobody waits for the adapter any more
            stop.set()

    try:
        return _train(options, report, stop)
    except TrainerError as error:
        report({"error": error.kind, "what": error.what, "where": error.where, "fix": error.fix})
        return EXIT_CODES[error.kind]
    except OSError as error:
        what = f"{error.strerror or type(error).__name__}"
        report({"error": "environment", "what": what, "where": str(error.filename or ""), "fix": ""})
        return EXIT_CODES["environment"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trainer", description="Fine-tune an adapter of a base model.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--base", type=Path, required=True, help="folder with the base model's weights")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for adapter and manifest")
    parser.add_argument("--checkpoints", type=Path, help="default: .checkpoints in the output folder")
    parser.add_argument("--signing-key", type=Path, help="Ed25519 key of `ssh-keygen`, without a passphrase")
    return parser


def _train(options: argparse.Namespace, report: Any, stop: threading.Event) -> int:
    from trainer import recipe as recipes
    from trainer.signing import read_key

    recipe = recipes.load(options.recipe)
    private_key = read_key(options.signing_key) if options.signing_key else None
    os.environ["OMP_NUM_THREADS"] = str(recipe.training.threads)
    # torch takes seconds to load, and reads its settings when it does.
    from trainer.training import Interrupted, Job, train

    options.output.mkdir(parents=True, exist_ok=True)
    job = Job(
        recipe,
        options.recipe.parent,
        options.base,
        options.output,
        options.checkpoints or options.output / ".checkpoints",
        private_key,
    )
    try:
        facts = train(job, report, stop)
    except Interrupted:
        report({"interrupted": True})
        return INTERRUPTED
    report({"manifest": facts.model_dump(mode="json", by_alias=True)})
    return 0 if facts.memorisation.passed else EXIT_CODES["refused"]


if __name__ == "__main__":
    sys.exit(main())
