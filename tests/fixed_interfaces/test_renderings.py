"""Three stacks render as the samples say: on-prem with the cloud behind it, a cluster in AWS, and models on SageMaker.

All stacks are compared in tests/graders. These three are quick, and together they build most components.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixed_interfaces import tables
from tests.fixed_interfaces.samples import RENDERED
from tests.graders import examples
from tests.laying import lay

STACKS = ("bank-dev", "cloud-private", "hosted")


@pytest.fixture(scope="module", params=STACKS)
def rendered_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one rendered stack."""
    folder = tmp_path_factory.mktemp(request.param)
    root = folder / ".project"
    lay(root, bank=request.param in examples.stacks())
    if request.param not in examples.stacks():
        examples.init_example(request.param, root)
    examples.render_example(request.param, root, folder / request.param)
    return folder


@pytest.mark.parametrize("name", RENDERED)
def test_a_stack_renders_as_its_sample_says(rendered_folder: Path, name: str) -> None:
    rendered = RENDERED[name](rendered_folder)
    (stack,) = (path.name for path in rendered_folder.iterdir() if path.name in STACKS)
    marks = (f"{stack}/", f"{stack} ", f"urn:pulumi:{stack}::")
    expected = {entry: value for entry, value in tables.read(name).items() if entry.startswith(marks)}
    assert expected
    lines = tables.differences(expected, rendered)
    assert not lines, tables.complaint(name, lines)
