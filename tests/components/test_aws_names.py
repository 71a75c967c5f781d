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
    in_aws = [made for made in engine.made if made.type.startswith("aws:")]
    told = [
        reason
        for made in in_aws
        for _, reason in check(TYPES[made.type], made.name, made.inputs, None, b"seed" * 8, "eu-central-1")[1]
    ]
    assert len(in_aws) > 100
    assert not [reason for reason in told if "longer than" in reason]


def test_a_name_that_fits_is_let_be_and_two_that_do_not_stay_apart() -> None:
    assert logical_name("bank-frankfurt-bucket", 63) == "bank-frankfurt-bucket"
    assert logical_name("x" * 55, 63) == "x" * 55
    one, other = logical_name("x" * 56, 63), logical_name("x" * 57, 63)
    assert len(one) == len(other) == 55
    assert one != other
