"""A platform that keeps every rule of `contracts.platform.rules`."""

from __future__ import annotations

from pydantic import model_validator

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.rules import check as platform_rules


class CheckedPlatform(Platform):
    """A platform whose parts fit together: names exist, classes stay apart, handling is kept.

    Wherever a platform comes from (a blueprint, a plan, overrides, a test), this class checks it. A function that takes
    a `Platform` relies on these checks. Raises `FieldError` inside pydantic, so that an error names its line and path.
    """

    @model_validator(mode="after")
    def _check_rules(self) -> CheckedPlatform:
        platform_rules.check(self)
        return self
