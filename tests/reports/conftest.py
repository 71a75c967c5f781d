"""The bank's rendering and platform, for reports that only read them."""

from __future__ import annotations

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.engine.render import rendering
from tests.blueprints.bank import platform as bank
from tests.blueprints.bank import rendered as bank_rendered


@pytest.fixture(scope="session")
def rendered() -> rendering.Rendered:
    return bank_rendered()


@pytest.fixture(scope="session")
def platform() -> Platform:
    return bank()
