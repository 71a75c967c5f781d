"""Where redaction hangs on what is not known yet, nothing is taken for redacted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policies.cases_screening import GATEWAY, RULE, UNDECIDED, config, word
from tests.policies.making import found


@pytest.mark.parametrize(("said", "platform"), [pytest.param(*rest, id=name) for name, *rest in UNDECIDED])
def test_what_is_not_known_is_undecided(said: dict[str, Any], platform: Any):
    findings = found(RULE, config(said), platform=platform)
    assert [each.verdict for each in findings] == ["undecided"], findings


def test_a_place_that_is_not_known_may_stand_anywhere_when_all_that_leaves_is_redacted():
    cloud = {**GATEWAY["routes"][0], "model": "of another version"}
    assert found(RULE, config({**GATEWAY, "routes": [cloud]}), platform=word()) == []


def test_the_finding_says_which_gateway_sends_what_where():
    said = {key: value for key, value in GATEWAY.items() if key != "screening"}
    (one,) = found(RULE, config(said), platform=word())
    assert one.message == (
        "gw-config sends prompts to internal-translator.isthmus-internal.svc, beyond its site, as they come"
    )
    assert (one.severity, one.resource) == ("critical", "gw-config")
