"""Checks of component arguments: classes on targets, address ranges, and outputs of other resources."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from components.base.argument_checks import (
    check_choice,
    check_sensitivity,
    check_within,
    may_use_aws,
    parse_network,
    without_outputs,
)
from isthmus.contracts.vocabulary import Target
from isthmus.core.errors import InputError, Refused


def test_a_value_outside_the_choices_is_refused_with_the_choices() -> None:
    assert check_choice("on", ("on", "off"), "gateway.mode") == "on"
    with pytest.raises(InputError, match="'onn' is not known") as caught:
        check_choice("onn", ("on", "off"), "gateway.mode")
    assert (caught.value.where, caught.value.fix) == ("gateway.mode", "Allowed: on, off")
    with pytest.raises(InputError, match="'secret' is not known"):
        check_sensitivity("secret", "gateway")


def test_a_class_may_use_its_targets_and_those_of_a_recorded_exception() -> None:
    may_use_aws("public", "endpoint")
    may_use_aws("internal", "endpoint", target="sagemaker")
    may_use_aws("confidential", "endpoint", target="sagemaker")
    may_use_aws("confidential", "endpoint", "CISO 2026-07", "bedrock")


@pytest.mark.parametrize(
    ("sensitivity", "exception", "target", "message", "fix"),
    [
        (
            *("confidential", "", "bedrock", "without a recorded exception"),
            "Use onprem-vllm, eks-vllm or sagemaker, or record an exception",
        ),
        ("restricted", "", "bedrock", "bedrock or any other target in AWS", "Use onprem-vllm"),
        ("restricted", "CISO 2026-07", "sagemaker", "or any other target in AWS", "Use onprem-vllm"),
        (
            *("confidential", "CISO 2026-07", "other", "class confidential may not use other"),
            "Use onprem-vllm, eks-vllm or sagemaker",
        ),
    ],
)
def test_a_class_on_another_target_is_refused_with_those_it_may_use(
    sensitivity: str, exception: str, target: Target, message: str, fix: str
) -> None:
    with pytest.raises(Refused) as caught:
        may_use_aws(sensitivity, "endpoint", exception, target)
    assert (caught.value.where, caught.value.fix) == ("endpoint", fix)
    assert caught.value.what.endswith(message)


def test_a_host_name_is_no_address_range() -> None:
    assert parse_network("10.40.7.0/24", "gateway").prefixlen == 24
    with pytest.raises(InputError, match="is not an address range"):
        parse_network("db.bank.example", "gateway")


def test_a_range_must_be_inside_one_of_the_allowed_ranges_of_its_ip_version() -> None:
    allowed = ["2001:db8::/32", "10.40.0.0/16", "10.41.0.0/16"]
    check_within("10.41.7.0/24", allowed, "gateway")
    check_within("10.41.0.0/16", allowed, "gateway")
    check_within("2001:db8:1::/48", allowed, "gateway")
    for cidr in ("10.0.0.0/8", "10.42.0.0/24", "2001:db9::/48"):
        with pytest.raises(Refused, match="is not inside the site's networks"):
            check_within(cidr, allowed, "gateway")
    with pytest.raises(Refused, match="none are listed"):
        check_within("10.41.7.0/24", [], "gateway")


def test_outputs_of_other_resources_are_taken_out_of_arguments_at_every_depth() -> None:
    output: Any = pulumi.Output.from_input("10.96.0.7")
    arguments = {"id": "a", "ip": output, "routes": [output, {"name": "b", "ip": output}, "c"]}
    assert without_outputs(arguments) == {"id": "a", "routes": [{"name": "b"}, "c"]}
