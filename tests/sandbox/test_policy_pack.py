"""The pack under the real engine: `pulumi preview --policy-pack policies`, from another team's program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation as auto

from tests.aws_sandbox.stack import Stack, endpoint

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).resolve().parents[2]
REGION = "eu-central-1"
UNKNOWN_AT_FIRST = {
    *("identity/can-be-read", "identity/roles-bounded", "identity/boundaries-deny"),
    "audit/trail-out-of-reach",
}
"""A role's policy names a log group that is yet to be made, so the engine shows no word of it."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with endpoint() as url:
        yield Stack(tmp_path, url)


def previewed(stack: Stack, **options: Any) -> tuple[list[Any], str]:
    """Policy events by the pack, and why the preview ended, where it did."""
    observed: list[Any] = []
    failed = ""

    def take(event: Any) -> None:
        if event.policy_event:
            observed.append(event.policy_event)

    try:
        stack.stack.preview(policy_packs=[str(ROOT / "policies")], on_event=take, color="never", **options)
    except auto.CommandError as error:
        failed = str(error)
    return observed, failed


def theirs(*, rotates: bool) -> None:
    """Two components of ours and a key of their own."""
    import pulumi
    import pulumi_aws as aws

    from components.aws.identity.trust_anchor import TrustAnchor
    from components.aws.network.network import Network, NetworkArgs
    from isthmus.contracts.platform.model.platform import Site
    from stacks import providers
    from tests import authority

    site = Site(name="frankfurt", kind="aws", jurisdiction="de", region=REGION)
    provider = providers.aws(site, {"isthmus-stack": "theirs"}, sandbox=True)
    opts = pulumi.ResourceOptions(providers={"aws": provider})
    network: NetworkArgs = {
        "name": "frankfurt",
        "region": REGION,
        "mode": "manage",
        "cidr": "10.60.0.0/16",
        "zones": [f"{REGION}a", f"{REGION}b"],
        "flow_log_days": 365,
    }
    Network("net", network, opts)
    TrustAnchor(
        "anchor",
        {"name": "theirs", "region": REGION, "mode": "manage", "ca_certificates": authority.pem()},
        opts,
    )
    aws.kms.Key("theirs", enable_key_rotation=rotates, opts=pulumi.ResourceOptions(provider=provider))


def test_a_fault_of_another_team_stops_their_preview_and_the_same_without_it_goes_on(
    stack: Stack, tmp_path: Path
):
    stack.own(lambda: theirs(rotates=False))
    events, failed = previewed(stack)
    [event] = [event for event in events if event.policy_name == "encryption/keys-rotate"]
    assert event.enforcement_level == "mandatory"
    assert "theirs does not rotate" in event.message
    assert "KMS.4" in event.message
    assert "Set enableKeyRotation on the key" in event.message
    assert event.resource_urn.endswith("::theirs")
    assert failed, "a mandatory finding must end the preview"

    levels = tmp_path / "levels.json"
    levels.write_text(json.dumps({"undecided": "advisory"}))
    stack.own(lambda: theirs(rotates=True))
    events, failed = previewed(stack, policy_pack_configs=[str(levels)])
    assert failed == "", "what stands is as it should be, and what is not known yet is told only"
    assert {event.policy_name for event in events} <= UNKNOWN_AT_FIRST
    assert {event.enforcement_level for event in events} <= {"advisory"}


def test_a_setting_that_there_is_not_ends_the_preview_with_its_name(stack: Stack):
    stack.own(lambda: theirs(rotates=True))
    stack.stack.set_config("isthmus:policies", auto.ConfigValue(json.dumps({"silence": []})))
    _, failed = previewed(stack)
    assert "`silence`" in failed
    assert "isthmus:policies" in failed
