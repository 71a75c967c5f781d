"""The reports of the bank's scenarios as they were read and found right: `python -m tests.reports.goldens` writes them
anew, for `git diff` to show what became different."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from isthmus.contracts.reports.preview import Preview
from isthmus.core.errors import EnvironmentFault, Refused
from isthmus.engine import seen
from isthmus.engine.preview import preview
from isthmus.engine.preview.assembly import PreviewDraft
from isthmus.engine.project import project
from isthmus.engine.pull_request import pull_request
from isthmus.engine.pull_request.commit_pair import Commit
from isthmus.engine.pull_request.pull_request import Change
from isthmus.engine.seen import Order
from isthmus.reports.preview import markdown as preview_markdown
from isthmus.reports.preview import sarif as preview_sarif
from isthmus.reports.preview import text as preview_text
from tests.blueprints import bank
from tests.reports import moved_models, previews

FOLDER = Path(__file__).parent / "golden"
FILES = {previews.STACK: f"stacks/Pulumi.{previews.STACK}.yaml"}


def unchanged() -> Preview:
    return previews.preview(previews.resources())


def moved_to_bedrock() -> Preview:
    """Internal work goes from our GPUs to Bedrock, which its class may use."""
    return previews.preview(
        previews.resources(), moved_models.on_prem(), was_planned=moved_models.plan_on_prem()
    )


def restricted_to_bedrock() -> Preview:
    """A plan that would place restricted work there is refused before anything is rendered."""
    with tempfile.TemporaryDirectory() as folder:
        stack = moved_models.restricted_in_the_cloud(Path(folder))
        try:
            stack.platform()
        except Refused as error:
            return preview.failed_preview(stack, error, PreviewDraft(stack.name, commit=previews.COMMIT))
    raise AssertionError("the plan was not refused")


def failed() -> Preview:
    stack = project.find_project(bank.ROOT).stack(previews.STACK)
    fault = EnvironmentFault(
        "the cluster of context `fra1` does not answer at https://10.40.0.1:6443",
        where="site fra1",
        fix="Start it",
    )
    return preview.failed_preview(stack, fault, PreviewDraft(stack.name, commit=previews.COMMIT))


def class_lowered() -> Preview:
    """Restricted work is called internal, and taken to Bedrock in the same branch: `isthmus ci`, in one process."""
    with tempfile.TemporaryDirectory() as folder:
        stack = moved_models.lowered_to_the_cloud(Path(folder))
        roots = (bank.ROOT, stack.project.root)
        for name in CODE:  # the branch changes none of it
            if (bank.ROOT / name).is_dir():
                shutil.copytree(
                    bank.ROOT / name, roots[1] / name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(bank.ROOT / name, roots[1])
        before, after = (Commit(root, "the base commit", roots[1]) for root in roots)
        base_side, head_side = (
            seen.answer(Order(do="see", root=str(root), stacks=[stack.name])).seen[stack.name]
            for root in roots
        )
        order = Order(
            do="judge", root=str(bank.ROOT), of={stack.name: base_side}, other={stack.name: head_side}
        )
        by_base = seen.answer(order).findings[stack.name]
        change = Change(before, after, previews.BASE, previews.COMMIT, date.fromisoformat(previews.TODAY))
        return pull_request.preview_stack(change, base_side, head_side, by_base).preview


LOCKS = ("requirements.lock", "serve-requirements.lock", "dev-requirements.lock")
CODE = ("edge", "evaluations", "sandbox", "scripts", "trainer", "pyproject.toml", *LOCKS)
"""Beside the program in this repository: `isthmus ci` compares what it imports, and its packages."""


SCENARIOS: dict[str, Callable[[], Preview]] = {
    "unchanged": unchanged,
    "replica": previews.replica,
    "replaced-key": previews.replaced_key,
    "deleted-bucket": previews.deleted_bucket,
    "moved-to-bedrock": moved_to_bedrock,
    "restricted-to-bedrock": restricted_to_bedrock,
    "slipped-in": previews.slipped_in,
    "class-lowered": class_lowered,
    "failed": failed,
    "hostile": previews.hostile,
}
AS_DATA = ("replica", "replaced-key", "restricted-to-bedrock", "slipped-in", "failed")
"""Those of which JSON and SARIF are kept, too."""


@functools.cache
def scenario(name: str) -> Preview:
    return SCENARIOS[name]()


def reports(name: str) -> dict[str, str]:
    """Every report of a scenario that is kept, by its file's name."""
    from isthmus.cli.previews import as_json

    shown = [scenario(name)]
    report_texts = {f"{name}.md": preview_markdown.comment(shown), f"{name}.txt": preview_text.text(shown)}
    if name in AS_DATA:
        report_texts |= {f"{name}.json": as_json(shown), f"{name}.sarif": preview_sarif.log(shown, FILES)}
    return report_texts


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for name in SCENARIOS:
        for file, text in reports(name).items():
            (FOLDER / file).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
