"""Names that AWS takes, however long a platform and its sites are called."""

import json
from typing import Any

from components.aws.common.names import logical_name
from sandbox.aws.table import TYPES
from sandbox.aws.validation import check
from tests.components.conftest import Engine, build


def test_every_name_fits_with_a_long_platform_and_a_long_site(
    engine: Engine, platform: dict[str, Any]
) -> None:
    text = json.dumps(platform).replace('"frankfurt"', f'"{"f" * 40}"').replace('"bank"', f'"{"p" * 40}"')
    build(engine, json.loads(text), name="p" * 40)
    in_aws = [resource for resource in engine.made if resource.type.startswith("aws:")]
    reasons = [
        reason
        for resource in in_aws
        for _, reason in check(
            TYPES[resource.type], resource.name, resource.inputs, None, b"seed" * 8, "eu-central-1"
        )[1]
    ]
    assert len(in_aws) > 100
    assert not [reason for reason in reasons if "longer than" in reason]


def test_a_short_name_is_kept_and_two_long_names_stay_different() -> None:
    assert logical_name("bank-frankfurt-bucket", 63) == "bank-frankfurt-bucket"
    assert logical_name("x" * 55, 63) == "x" * 55
    first, second = logical_name("x" * 56, 63), logical_name("x" * 57, 63)
    assert len(first) == len(second) == 55
    assert first != second
