"""A notifier as made breaks no rule, and each change of it that the platform does not state is reported."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.graph.resources import state as graph_state
from policies.evaluation.evaluation import judge
from policies.evaluation.registry import RULES as ALL_RULES
from tests import private
from tests.components.conftest import Engine, build
from tests.components.platforms import bank, reviewed
from tests.components.test_review_domains import DOMAIN
from tests.components.test_review_notifier import NAME, NAMESPACE, NOTIFIER, POD, notifying
from tests.graph.clouds import deployed
from tests.policies.test_review_desk import Change, configured, found, in_namespace, let_in, let_out
from tests.recording import record

pytestmark = pytest.mark.whole

NETWORK, CONFIG = f"{NAME}-network", f"{NAME}-config"
RESTRICTED: dict[str, Any] = {
    **NOTIFIER,
    "targets": [NOTIFIER["targets"][0], NOTIFIER["targets"][2]],
    **{"routes": [], "default": ["desk"]},
}


@pytest.fixture(scope="module")
def made() -> tuple[Engine, Platform]:
    engine, platform = Engine(), notifying(bank())
    build(engine, platform)
    return engine, Platform.model_validate(platform)


@pytest.fixture(scope="module")
def restricted() -> tuple[Engine, Platform]:
    engine, platform = Engine(), notifying(bank(), 0, **RESTRICTED)
    build(engine, platform)
    return engine, Platform.model_validate(platform)


def test_a_notifier_as_made_breaks_no_rule(
    made: tuple[Engine, Platform], restricted: tuple[Engine, Platform]
) -> None:
    assert found(made) == []
    assert found(restricted) == []


@pytest.mark.parametrize("at", [0, 1])
def test_no_rule_of_the_pack_reports_more_than_without_a_notifier(
    made: tuple[Engine, Platform], restricted: tuple[Engine, Platform], at: int
) -> None:
    engine, platform = Engine(), reviewed(bank(), at, domains=[DOMAIN])
    build(engine, platform)
    before = found((engine, Platform.model_validate(platform)), rules=ALL_RULES)
    after = found((restricted, made)[at], rules=ALL_RULES)
    assert set(after) - set(before) == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (let_out(**in_namespace("isthmus-confidential")), f"lets {NAMESPACE} reach namespace isthmus-conf"),
        (let_out(ipBlock={"cidr": "0.0.0.0/0"}), f"lets {NAMESPACE} reach 0.0.0.0/0"),
        (let_out(ipBlock={"cidr": "10.40.0.99/32"}), f"lets {NAMESPACE} reach 10.40.0.99/32"),
        (let_in(in_namespace("default"), 9090), f"lets namespace default call {NAMESPACE}"),
    ],
)
def test_another_way_out_or_in_is_reported(
    made: tuple[Engine, Platform], change: Change, message: str
) -> None:
    assert any(message in reported for reported in found(made, NETWORK, change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda config: config["targets"][0]["mail"].update(password="hunter2"),
            "has mail.password of target desk in plain text",
        ),
        (
            lambda config: config["targets"][1].update(url="slack://a/b/c"),
            "has url of target chat in plain text",
        ),
        (lambda config: config["database"].update(password="hunter2"), "has database.password in plain text"),
        (lambda config: config["database"].update(user="gateway"), "is a notifier with database"),
        (
            lambda config: config["targets"][0]["mail"].update(to=["x@elsewhere.example"]),
            "is a notifier with targets",
        ),
        (lambda config: config.update(link="https://elsewhere.example"), "is a notifier with link"),
        (lambda config: config.update(default=["chat"]), "is a notifier with default"),
    ],
)
def test_other_settings_of_a_notifier_are_reported_without_secrets(
    made: tuple[Engine, Platform], change: Change, message: str
) -> None:
    reported = found(made, CONFIG, configured(change))
    assert any(message in line for line in reported)
    assert not any("hunter2" in line or "slack://" in line for line in reported)


def test_a_webhook_of_restricted_work_is_reported(restricted: tuple[Engine, Platform]) -> None:
    hook = {"name": "hook", "service": "webhook", "url": "/etc/isthmus/targets/hook/url"}
    change = configured(lambda config: config["targets"].append(hook))
    reported = found(restricted, CONFIG.replace("confidential", "restricted"), change)
    assert any(
        "sends notifications to webhook by target hook, for restricted data" in line for line in reported
    )


def test_another_program_in_the_notifiers_pod_is_reported(made: tuple[Engine, Platform]) -> None:
    def change(inputs: dict[str, Any]) -> None:
        inputs["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", "sleep 1"]

    assert any(POD in line or NAME in line for line in found(made, f"{NAME}-server", change))


def test_a_notifier_that_the_platform_does_not_state_is_reported(made: tuple[Engine, Platform]) -> None:
    engine, platform = made
    stated = platform.model_dump(mode="json", by_alias=True, exclude_none=True)
    for gateway in stated["gateways"]:
        gateway.get("reviews", {}).pop("notifier", None)
    reported = found((engine, Platform.model_validate(stated)))
    for message in (
        "tells people of held answers, and the platform states no notifier",
        f"{NAME}-config tells people of held answers",
    ):
        assert any(message in line for line in reported), message


def test_a_notifier_in_eks_has_no_findings_rendered_or_deployed() -> None:
    mail = {**NOTIFIER["targets"][0]["mail"], "address": "10.80.40.40"}
    targets = {"targets": [{"name": "desk", "mail": mail}], "default": ["desk"], "routes": []}
    platform = private.reviewed(notifier={**NOTIFIER, **targets})
    platform["images"]["notifier"] = platform["images"]["edge"]
    checked = CheckedPlatform.model_validate(platform)
    resources = record(checked).resources
    assert any(resource.name.endswith("confidential-reviews-notifier-server") for resource in resources)
    for kind in (resources, graph_state.from_state(deployed(list(resources)))):
        findings = [finding for finding in judge(kind, checked) if "notifier" in finding.message]
        assert [(finding.policy, finding.message) for finding in findings] == []
