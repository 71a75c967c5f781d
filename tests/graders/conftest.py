"""One rendering of everything for the whole run, whichever worker asks first."""

from __future__ import annotations

import os
import shutil

import pytest
from filelock import FileLock

from tests.graders import examples
from tests.graders.examples import Rendering


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rendering]:
    """Every rendering by its name; nobody writes into them."""
    base = tmp_path_factory.getbasetemp()
    target = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "graded"
    with FileLock(f"{target}.lock"):
        if not target.exists():
            making = target.with_name("graded-making")
            # What a worker left whose rendering failed.
            shutil.rmtree(making, ignore_errors=True)
            examples.write(making)
            making.rename(target)
    return {rendering.name: rendering for rendering in examples.all_of(target)}
