"""The bank's data paths, and what becomes of them when one thing is changed.

`python -m tests.graph.test_paths` writes the golden file anew.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.handling import Exception_
from isthmus.contracts.reports.preview import DataPath
from isthmus.core.pulumi_values import UNKNOWN
from isthmus.engine.render.recorder import Resource
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from isthmus.graph.resources.state import from_state
from tests.blueprints import bank
from tests.blueprints.bank import serving
from tests.graph.clouds import deployed
from tests.policies.mutating import Change, replace_text, workload

GOLDEN = Path(__file__).parent / "data" / "bank-dev.paths.json"
TODAY = "2026-11-26"
CONFIG = ":ConfigMap"
RESTRICTED, INTERNAL = serving("transaction-narratives").id, serving("policy-assistant").id
PROFILE = f"bank-internal-frankfurt-{INTERNAL}-policy-assistant"
BEDROCK = "https://vpce-${bank-frankfurt-endpoints-bedrock-runtime.id}.bedrock-runtime.eu-central-1.vpce.amazonaws.com"
NAMED = "kubernetes.io/metadata.name"


def resources() -> list[Resource]:
    return list(bank.rendered().resources)


def found(made: Iterable[Resource], platform: Platform | None = None) -> dict[str, DataPath]:
    paths = data_paths(Graph(made), platform or bank.platform(), TODAY)
    assert [each.id for each in paths] == sorted({each.id for each in paths})
    return {each.id: each for each in paths}


def of(paths: dict[str, DataPath], workload: str) -> DataPath:
    (path,) = [each for each in paths.values() if each.workload == workload]
    return path


def changed(kind: str, name: str, how: Change) -> list[Resource]:
    made, count = [], 0
    for each in resources():
        if each.made and each.type.endswith(kind) and each.name.endswith(name):
            inputs = copy.deepcopy(each.inputs)
            how(inputs)
            each, count = replace(each, inputs=inputs), count + 1
        made.append(each)
    assert count == 1, f"{count} of {kind} {name}"
    return made


def more(kind: str, inputs: dict[str, Any], name: str = "bank-more") -> list[Resource]:
    like = next(each for each in resources() if each.name.endswith("restricted-gateway-server"))
    return [*resources(), replace(like, urn=f"urn:x::{name}", type=kind, name=name, inputs=inputs)]


def as_other(part: str, old: str, new: str) -> list[Resource]:
    """Copies of what a name has in it, for another class."""
    return [
        replace(
            each,
            urn=each.urn.replace(old, new),
            name=each.name.replace(old, new),
            inputs=json.loads(json.dumps(each.inputs).replace(old, new)),
        )
        for each in resources()
        if each.made and part in each.name and each.type.startswith("kubernetes:")
    ]


def worse(made: Iterable[Resource], platform: Platform | None = None) -> dict[str, tuple[str, str]]:
    """Verdict and reason of the paths that are not allowed."""
    return {
        key: (each.verdict, each.why)
        for key, each in found(made, platform).items()
        if each.verdict != "allowed"
    }


def written(paths: Iterable[DataPath]) -> str:
    return json.dumps([each.model_dump(mode="json", by_alias=True) for each in paths], indent=2) + "\n"


def test_the_banks_paths_are_these() -> None:
    assert written(found(resources()).values()) == GOLDEN.read_text()


def test_the_same_resources_give_the_same_paths_in_any_order() -> None:
    assert found(reversed(resources())) == found(resources())


def test_what_stands_gives_the_paths_of_what_was_rendered() -> None:
    """The paths before a change can be found in the state alone."""
    stands = from_state(deployed(resources()))
    assert data_paths(Graph(stands), bank.platform(), TODAY) == list(found(resources()).values())


def test_an_internal_endpoint_that_moves_to_bedrock_is_shown_and_allowed() -> None:
    model, here = (
        f"internal-{serving('kyc-extraction').id.removeprefix('confidential-')}",
        "internal-translator",
    )
    at_home = [
        *changed(CONFIG, "internal-gateway-config", replace_text(here, model)),
        *as_other(serving("kyc-extraction").id, "confidential", "internal"),
    ]
    before, after = of(found(at_home), "policy-assistant"), of(found(resources()), "policy-assistant")
    assert [each.name for each in before.hops[1:]] == ["internal-gateway", model, "fra1"]
    assert [each.kind for each in after.hops] == [
        *("workload", "gateway", "translator", "identity", "network", "endpoint", "region")
    ]
    assert (before.verdict, after.verdict) == ("allowed", "allowed")
    assert before.id != after.id


def test_a_restricted_endpoint_that_moves_to_bedrock_is_refused_with_its_path() -> None:
    moved = [
        *changed(CONFIG, "restricted-gateway-config", replace_text(RESTRICTED, "restricted-translator")),
        *as_other("internal-gateway-translator", "internal", "restricted"),
    ]
    made = [
        replace(each, inputs={**each.inputs, "data": {"config.yaml": _asked_as(each, RESTRICTED_MODEL)}})
        if each.name.endswith("restricted-gateway-translator-config")
        else each
        for each in moved
    ]
    path = of(found(made), "transaction-narratives")
    assert [each.name for each in path.hops][:3] == [
        *("transaction-narratives", "restricted-gateway", "restricted-translator")
    ]
    assert path.hops[-1].kind == "region"
    assert path.verdict == "refused"
    assert "restricted work may not run on bedrock" in path.why


RESTRICTED_MODEL = serving("transaction-narratives").model


def _asked_as(config: Resource, name: str) -> str:
    text = config.inputs["data"]["config.yaml"]
    return text.replace(
        f"name: {INTERNAL}--policy-assistant".replace("internal", "restricted"), f"name: {name}"
    )


def test_confidential_work_goes_to_bedrock_by_an_exception_and_until_its_last_day() -> None:
    named = serving("kyc-extraction")
    moved = [
        *changed(CONFIG, "confidential-gateway-config", replace_text(named.id, "confidential-translator")),
        *as_other("internal-gateway-translator", "internal", "confidential"),
    ]
    made = [
        replace(each, inputs={**each.inputs, "data": {"config.yaml": _renamed(each)}})
        if each.name.endswith("confidential-gateway-translator-config")
        else each
        for each in moved
    ]
    assert "by a recorded exception only" in of(found(made), "kyc-extraction").why
    platform = bank.platform()
    until = {"workload": "kyc-extraction", "target": "bedrock", "who": "dpo", "reason": "trial"}
    platform.exceptions.append(Exception_.model_validate({**until, "until": TODAY}))
    path = of(found(made, platform), "kyc-extraction")
    assert "exception" not in path.why, path
    late = {each.id: each for each in data_paths(Graph(made), platform, "2026-11-27")}
    assert "by a recorded exception only" in of(late, "kyc-extraction").why


def _renamed(config: Resource) -> str:
    return config.inputs["data"]["config.yaml"].replace(
        f"name: {INTERNAL}--policy-assistant".replace("internal", "confidential"), "name: kyc-fields"
    )


GLOBAL = "arn:aws:bedrock:eu-central-1:1:inference-profile/global.anthropic.claude-haiku-4-5-20251001-v1:0"
AMERICAN = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.mark.parametrize(
    ("kind", "name", "how", "verdict", "why"),
    [
        (CONFIG, "internal-gateway-translator-config", replace_text("eu.anthropic", "global.anthropic"), "refused", "every"),
        (":InferenceProfile", PROFILE, lambda i: i["modelSource"].update(copyFrom=GLOBAL), "refused", "every"),
        (":InferenceProfile", PROFILE, lambda i: i["modelSource"].update(copyFrom=AMERICAN), "refused", "lies in us"),
        (":InferenceProfile", PROFILE, lambda i: i["modelSource"].update(copyFrom="x"), "undecided", "names no model"),
        (
            CONFIG,
            "internal-gateway-translator-config",
            replace_text(f":::${{{PROFILE}.arn}}", ":eu-central-1:1:application-inference-profile/x"),
            "undecided",
            "not known",
        ),
        (CONFIG, "internal-gateway-translator-config", replace_text(BEDROCK, "https://bedrock.x"), "refused", "internet"),
        (CONFIG, "internal-gateway-translator-config", replace_text(BEDROCK, "null"), "refused", "the public name"),
        (
            CONFIG,
            "internal-gateway-translator-config",
            replace_text(".eu-central-1.vpce", ".us-east-1.vpce"),
            "refused",
            "us-east-1 lies in us",
        ),
        (
            CONFIG,
            "internal-gateway-translator-config",
            replace_text("models:", "outbound:\n  proxy: http://10.40.0.9:3128\nmodels:"),
            "refused",
            "the proxy http://10.40.0.9:3128",
        ),
        (
            CONFIG,
            "internal-gateway-translator-config",
            replace_text("- internal-gateway.isthmus-internal", "- public-gateway.isthmus-public"),
            "refused",
            "takes requests of public-gateway.isthmus-public.svc, which is of public",
        ),
        (
            CONFIG,
            f"{RESTRICTED}-config",
            replace_text("- restricted-gateway.isthmus-restricted.svc", "- '*'"),
            "undecided",
            "takes requests of *",
        ),
        (CONFIG, f"{RESTRICTED}-config", replace_text("127.0.0.1:8000", "10.40.9.9:80"), "refused", "hands requests on"),
        (CONFIG, "internal-gateway-config", replace_text("internal-translator.i", "nobody.i"), "undecided", "nobody is known"),
        (CONFIG, "internal-gateway-config", replace_text("internal-translator.isthmus-internal.svc:8", "a.b:8"), "undecided", "a.b"),  # noqa: E501
        (CONFIG, "internal-gateway-config", replace_text("policy-assistant", "another"), "undecided", "names no internal"),
        (CONFIG, "internal-gateway-config", replace_text("class: internal", "class: public"), "refused", "of class public"),
        (
            CONFIG,
            "internal-gateway-config",
            replace_text("internal-translator.isthmus-internal", "public-translator.isthmus-public"),
            "refused",
            "of class public",
        ),
        (
            CONFIG,
            "restricted-gateway-config",
            replace_text(f"{RESTRICTED}.isthmus-restricted.svc:8443", "bedrock-runtime.eu-central-1.amazonaws.com"),
            "refused",
            "is a cloud's",
        ),
    ],
)  # fmt: skip
def test_a_route_or_a_model_that_leads_elsewhere(
    kind: str, name: str, how: Change, verdict: str, why: str
) -> None:
    changes = worse(changed(kind, name, how))
    assert any(each[0] == verdict and why in each[1] for each in changes.values()), changes


def test_a_service_that_stands_for_a_name_outside() -> None:
    host = "bedrock-runtime.eu-central-1.amazonaws.com"

    def outside(inputs: dict[str, Any]) -> None:
        inputs["spec"] = {"type": "ExternalName", "externalName": host}

    assert any(
        host in why for _, why in worse(changed(":Service", f"{RESTRICTED}-service", outside)).values()
    )


POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ROLE = {"roleArn": "arn:aws:iam::1:role/x"}
HOST = {"name": "URL", "value": "https://bedrock-runtime.eu-central-1.amazonaws.com"}


def _policy(space: str, *peers: dict[str, Any], **labels: str) -> list[Resource]:
    spec = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Egress"],
        "egress": [{"to": list(peers)}],
    }
    return more(POLICY, {"metadata": {"name": "more", "namespace": space}, "spec": spec})


def _pod(space: str, **spec: Any) -> list[Resource]:
    pod = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "x", **spec}]}}
    return more("kubernetes:apps/v1:Deployment", workload("Deployment", space, pod))


def _account(space: str) -> list[Resource]:
    notes = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}
    meta = {"name": "more", "namespace": space, "annotations": notes}
    return more("kubernetes:core/v1:ServiceAccount", {"metadata": meta})


def _associated(space: str) -> list[Resource]:
    kind = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    return more(kind, {"namespace": space, "serviceAccount": "more", **ROLE})


@pytest.mark.parametrize(
    ("made", "class_", "verdict", "why"),
    [
        (_policy("isthmus-restricted", {"ipBlock": {"cidr": "10.80.0.0/24"}}), "restricted", "refused", "AWS"),
        (_policy("isthmus-internal", {"ipBlock": {"cidr": "0.0.0.0/0"}}), "internal", "refused", "outside"),
        (_policy("isthmus-internal", {"ipBlock": {"cidr": UNKNOWN}}), "internal", "undecided", "not known"),
        (
            _policy("isthmus-confidential", {"namespaceSelector": {"matchLabels": {NAMED: "isthmus-public"}}}),
            "confidential",
            "refused",
            "of class public",
        ),
        (_policy("isthmus-confidential", {"namespaceSelector": {}}), "confidential", "undecided", "not known"),
        (
            _policy("isthmus-internal", {"ipBlock": {"cidr": "192.0.2.0/24"}}, app="not-here"),
            "internal",
            "refused",
            "outside",
        ),
        (_associated("isthmus-restricted"), "restricted", "refused", "may have"),
        (_associated("isthmus-internal"), "internal", "undecided", "what it calls"),
        (_account("isthmus-restricted"), "restricted", "refused", "may have"),
        (_account("isthmus-confidential"), "confidential", "undecided", "what it calls"),
        (_pod("isthmus-restricted", env=[HOST]), "restricted", "refused", "is a cloud's"),
        (_pod("isthmus-internal", args=["--to", HOST["value"]]), "internal", "refused", "public name"),
        (_pod("isthmus-internal", env=[{"name": "U", "value": BEDROCK}]), "internal", "undecided", "which models"),
        (_pod("isthmus-public", env=[{"name": "U", "value": "https://api.openai.com"}]), "public", "allowed", ""),
    ],
)  # fmt: skip
def test_a_way_beside_the_gateway(made: list[Resource], class_: str, verdict: str, why: str) -> None:
    known = found(resources())
    new = [each for key, each in found(made).items() if key not in known]
    assert [each for each in new if (each.class_, each.verdict) == (class_, verdict) and why in each.why], new


def test_a_model_that_no_route_asks_for_is_a_way_all_the_same() -> None:
    """A translator calls it for whoever reaches the translator."""
    entry = "models:\n- name: spare\n  region: us-east-1\n  inference_profile: amazon.nova-lite-v1:0\n"
    made = changed(CONFIG, "internal-gateway-translator-config", replace_text("models:\n", entry))
    (path,) = [each for each in found(made).values() if any(hop.name == "spare" for hop in each.hops)]
    assert (path.verdict, path.hops[-1].name) == ("refused", "us-east-1")
    assert "us-east-1 lies in us" in path.why


def _unknown(name: str) -> list[Resource]:
    return [
        replace(each, inputs={**each.inputs, "data": {"config.yaml": UNKNOWN}})
        if each.name.endswith(name)
        else each
        for each in resources()
    ]


def test_a_configuration_that_is_not_known_yet_is_undecided_and_shows_what_it_is_made_of() -> None:
    """As under the engine before the first `up`: whole texts are unknown, what they are made of is known."""
    paths = found(_unknown("internal-gateway-translator-config"))
    path = of(paths, "policy-assistant")
    assert (path.verdict, path.hops[-2].name) == ("undecided", PROFILE)
    assert path.hops[-1].name.startswith("eu-central-1, eu-north-1")
    assert "not known before it is made" in path.why
    assert of(found(_unknown("public-gateway-translator-config")), "campaign-copy").verdict == "allowed"


def test_without_a_platform_what_hangs_on_it_is_undecided_above_public() -> None:
    paths = {each.id: each for each in data_paths(Graph(resources()), None, TODAY)}
    said = {name: of(paths, name) for name in ("campaign-copy", "kyc-extraction", "policy-assistant")}
    assert said["campaign-copy"].verdict == said["kyc-extraction"].verdict == "allowed"
    assert "nothing says the residency of internal work" in said["policy-assistant"].why
    assert "where the cluster fra1 stands" in of(paths, "transaction-narratives").why


@pytest.mark.parametrize(
    ("label", "says"), [("public", "labelled as of public work"), (None, "bears no label of its class")]
)
def test_a_namespace_whose_label_is_lowered_is_held_to_its_name_and_named(
    label: str | None, says: str
) -> None:
    def lower(inputs: dict[str, Any]) -> None:
        inputs["metadata"]["labels"]["isthmus.dev/class"] = label

    paths = found(changed(":Namespace", "restricted-namespace", lower))
    assert of(paths, "transaction-narratives").class_ == "restricted"
    assert any(each.verdict == "refused" and says in each.why for each in paths.values())


def test_a_class_that_is_none_is_held_to_the_strictest() -> None:
    pod: Callable[[str], dict[str, Any]] = lambda class_: {  # noqa: E731
        "metadata": {"labels": {"isthmus.dev/class": class_}},
        "spec": {"containers": [{"name": "x", "env": [HOST]}]},
    }
    made = more("kubernetes:apps/v1:Deployment", workload("Deployment", "apps", pod("restrictd")))
    assert any(each.class_ == "restricted" and "is a cloud's" in each.why for each in found(made).values())


if __name__ == "__main__":
    GOLDEN.write_text(written(found(resources()).values()))
