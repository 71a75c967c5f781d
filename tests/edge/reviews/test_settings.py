"""Review settings: never looser than the class requires, and as documented."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge import keys, reviewers
from edge.config import ConfigError, GatewayConfig, ReviewsConfig, check
from tests.edge.audit.test_settings import audit
from tests.edge.processes import ROOT
from tests.edge.test_config import FILE, counted

TEXT = (ROOT / "docs/reviews.md").read_text()
WORKLOAD = "transaction-narratives"


def documented() -> tuple[dict[str, Any], dict[str, Any]]:
    """The gateway's section and the review service's file from docs/reviews.md."""
    blocks = [YAML(typ="safe").load(block) for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)]
    (first,) = (block for block in blocks if "reviews" in block and "workloads" in block)
    (second,) = (block for block in blocks if block.get("mode") == "reviews")
    return first, second


def gateway(
    class_: str = "restricted", workload: dict[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """A gateway that holds answers, with changed `reviews`."""
    part = documented()[0]
    config = counted()
    workload_config = {**part["workloads"][0], **(workload or {})}
    config["workloads"] = [{key: value for key, value in workload_config.items() if value is not None}]
    config["routes"] = [{**config["routes"][0], "workload": WORKLOAD}]
    config.pop("teams", None)
    audit_config = audit() if class_ == "restricted" else {k: v for k, v in audit().items() if k != "content"}
    return {**config, "class": class_, "audit": audit_config, "reviews": {**part["reviews"], **changes}}


def test_the_documented_review_files_are_accepted():
    read = check(gateway(), FILE)
    assert isinstance(read, GatewayConfig)
    assert read.reviews is not None
    assert read.workloads[0].impact == "high"
    reviews_config = check(documented()[1], FILE)
    assert isinstance(reviews_config, ReviewsConfig)
    assert reviews_config.claim_s == 900


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (gateway("confidential", keep_days=31), "reviews.keep_days: class confidential allows 30 or less"),
        (gateway("internal", keep_days=8), "reviews.keep_days: class internal allows 7 or less"),
        (gateway(keep_days=1), "must be at least decide_h and escalated_h together"),
        (gateway(keys="/elsewhere"), "must equal those of audit.content"),
        (gateway(workload={"impact": None}), "has no impact"),
        (gateway(workload={"review": None}), "needs review.below_confidence"),
        (
            gateway("public", {"review": None, "impact": "material"}, keep_days=7),
            "needs review.below_confidence",
        ),
        (
            gateway(workload={"name": "else"}),
            "workload 'transaction-narratives' of a route is not in `workloads`",
        ),
        ({**gateway(), "reviews": None}, "reviews is needed: 'transaction-narratives'"),
        ({**gateway(), "audit": None}, "reviews needs `database`"),
        (gateway(decide_h=0), "decide_h"),
    ],
)
def test_a_gateway_that_holds_fewer_answers_or_keeps_them_longer_is_refused(
    config: dict[str, Any], says: str
):
    with pytest.raises(ConfigError, match=re.escape(says)):
        check(config, FILE)


def test_a_public_gateway_without_reviews_is_accepted():
    plain = gateway("public", {"impact": "low", "review": None})
    assert check({**plain, "reviews": None}, FILE).mode == "gateway"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reviewers": [{"name": "Erika", "client": "e.bank"}]}, "reviewers.0.name"),
        ({"reviewers": [{"name": "e", "client": "*.bank"}]}, "must not have a wildcard"),
        (
            {"reviewers": [{"name": "a", "client": "e.bank"}, {"name": "b", "client": "e.bank"}]},
            "two people have the same client",
        ),
        ({"audit": audit()}, "audit.content"),
        ({"database": {**documented()[1]["database"], "host": "x.amazonaws.com"}}, "must stay on the site"),
        ({"routes": []}, "routes: this key is unknown"),
        ({"mode": "review"}, "sealer, detector, reviews, chat, notifier or loader"),
    ],
)
def test_invalid_review_settings_are_refused_with_their_key(changes: dict[str, Any], says: str):
    with pytest.raises(ConfigError, match=re.escape(says)):
        check({**documented()[1], **changes}, FILE)


def test_every_documented_review_command_is_accepted():
    shown = re.findall(r"^    python -m edge\.(keys|reviewers) (.*)$", TEXT, re.M)
    assert len(shown) == 4
    for program, line in shown:
        arguments = re.sub(r"[\[\]]|\.\.\.", " ", line).replace(" N", " 3").split()
        parser = {"keys": keys, "reviewers": reviewers}[program]._parser()
        assert callable(parser.parse_args(arguments).command)


def test_every_refusal_of_the_desk_is_documented():
    from edge.reviews.decisions import REFUSALS

    assert {code for _, code, _ in REFUSALS.values() if f"`{code}`" not in TEXT} == set()


def test_a_webhook_is_for_workloads_whose_answers_are_held():
    config = gateway(workload={"webhook": "payments-app"})
    checked = check(config, FILE)
    assert isinstance(checked, GatewayConfig)
    assert checked.workloads[0].webhook == "payments-app"
    del config["reviews"]
    config["workloads"][0] = {"name": WORKLOAD, "webhook": "payments-app"}
    with pytest.raises(ConfigError, match="has a webhook, and nothing is held"):
        check(config, FILE)
