"""The bank's data paths, and how they change after one modification.

`python -m tests.graph.test_paths` writes the golden file anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference.admission import replicas_name
from isthmus.contracts.reference.handling import Exception_
from isthmus.contracts.reports.preview import DataPath
from isthmus.core.pulumi_values import UNKNOWN
from isthmus.engine.render.recorder import Resource
from isthmus.graph.data_path.paths import data_paths
from isthmus.graph.resources.resources import Graph
from isthmus.graph.resources.state import from_state
from tests.blueprints import bank
from tests.blueprints.bank import serving
from tests.broken_graphs.changes import Change, workload
from tests.broken_graphs.changes import replace_text as edit
from tests.broken_graphs.resources import change_inputs
from tests.graph.clouds import deployed

pytestmark = pytest.mark.whole

GOLDEN = Path(__file__).parent / "data" / "bank-dev.paths.json"
TODAY = "2026-11-26"
CONFIG = ":ConfigMap"
RESTRICTED, INTERNAL = serving("transaction-narratives").id, serving("policy-assistant").id
PROFILE = f"bank-internal-frankfurt-{INTERNAL}-policy-assistant"
BEDROCK = "https://vpce-${bank-frankfurt-endpoints-bedrock-runtime.id}.bedrock-runtime.eu-central-1.vpce.amazonaws.com"
NAMED = "kubernetes.io/metadata.name"


def resources() -> list[Resource]:
    return list(bank.rendered().resources)


def paths_of(resources_given: Iterable[Resource], platform: Platform | None = None) -> dict[str, DataPath]:
    paths = data_paths(Graph(resources_given), platform or bank.platform(), TODAY)
    assert [path.id for path in paths] == sorted({path.id for path in paths})
    return {path.id: path for path in paths}


def path_of(paths: dict[str, DataPath], workload: str) -> DataPath:
    (path,) = [path for path in paths.values() if path.workload == workload]
    return path


def changed(kind: str, name: str, how: Change) -> list[Resource]:
    changed_resources, count = change_inputs(resources(), kind, name, how)
    assert count == 1, f"{count} of {kind} {name}"
    return changed_resources


def more(kind: str, inputs: dict[str, Any], name: str = "bank-more") -> list[Resource]:
    like = next(resource for resource in resources() if resource.name.endswith("restricted-gateway-server"))
    return [*resources(), replace(like, urn=f"urn:x::{name}", type=kind, name=name, inputs=inputs)]


def as_other(part: str, old: str, new: str) -> list[Resource]:
    """Copies of what a name has in it, for another class."""
    return [
        replace(
            resource,
            urn=resource.urn.replace(old, new),
            name=resource.name.replace(old, new),
            inputs=json.loads(json.dumps(resource.inputs).replace(old, new)),
        )
        for resource in resources()
        if resource.made and part in resource.name and resource.type.startswith("kubernetes:")
    ]


def worse(
    resources_given: Iterable[Resource], platform: Platform | None = None
) -> dict[str, tuple[str, str]]:
    """Verdict and reason of the paths that are not allowed."""
    return {
        key: (path.verdict, path.why)
        for key, path in paths_of(resources_given, platform).items()
        if path.verdict != "allowed"
    }


def written(paths: Iterable[DataPath]) -> str:
    return json.dumps([path.model_dump(mode="json", by_alias=True) for path in paths], indent=2) + "\n"


def test_the_banks_data_paths_equal_the_golden_file() -> None:
    assert written(paths_of(resources()).values()) == GOLDEN.read_text()


def test_the_same_resources_give_the_same_paths_in_any_order() -> None:
    assert paths_of(reversed(resources())) == paths_of(resources())


def test_the_deployed_graph_has_the_paths_of_the_rendered_one() -> None:
    """The paths before a change can be found in the state alone."""
    stands = from_state(deployed(resources()))
    assert data_paths(Graph(stands), bank.platform(), TODAY) == list(paths_of(resources()).values())


def test_an_internal_endpoint_that_moves_to_bedrock_is_listed_as_allowed() -> None:
    model, endpoint_id = (
        f"internal-{serving('kyc-extraction').id.removeprefix('confidential-')}",
        "internal-translator",
    )
    at_home = [
        *changed(CONFIG, "internal-gateway-config", edit(endpoint_id, model)),
        *as_other(serving("kyc-extraction").id, "confidential", "internal"),
    ]
    before, after = (
        path_of(paths_of(at_home), "policy-assistant"),
        path_of(paths_of(resources()), "policy-assistant"),
    )
    assert [hop.name for hop in before.hops[1:]] == ["internal-gateway", model, "fra1"]
    assert [hop.kind for hop in after.hops] == [
        *("workload", "gateway", "translator", "identity", "network", "endpoint", "region")
    ]
    assert (before.verdict, after.verdict) == ("allowed", "allowed")
    assert before.id != after.id


def test_a_restricted_endpoint_that_moves_to_bedrock_is_refused_with_its_path() -> None:
    moved = [
        *changed(CONFIG, "restricted-gateway-config", edit(RESTRICTED, "restricted-translator")),
        *as_other("internal-gateway-translator", "internal", "restricted"),
    ]
    moved_resources = [
        replace(
            resource,
            inputs={**resource.inputs, "data": {"config.yaml": _asked_as(resource, RESTRICTED_MODEL)}},
        )
        if resource.name.endswith("restricted-gateway-translator-config")
        else resource
        for resource in moved
    ]
    path = path_of(paths_of(moved_resources), "transaction-narratives")
    assert [hop.name for hop in path.hops][:3] == [
        *("transaction-narratives", "restricted-gateway", "restricted-translator")
    ]
    assert path.hops[-1].kind == "region"
    assert path.verdict == "refused"
    assert "restricted work may not run on bedrock" in path.why


RESTRICTED_MODEL = serving("transaction-narratives").model


def _move(endpoint: str, service: str) -> Change:
    """Sends the requests for an endpoint to another Service, which lists no replicas."""

    def change(inputs: dict[str, Any]) -> None:
        for name in (replicas_name(endpoint), endpoint):
            if name in inputs["data"]["config.yaml"]:
                edit(name, service)(inputs)

    return change


def _asked_as(config: Resource, name: str) -> str:
    text = config.inputs["data"]["config.yaml"]
    return text.replace(
        f"name: {INTERNAL}--policy-assistant".replace("internal", "restricted"), f"name: {name}"
    )


def test_confidential_work_may_use_bedrock_only_with_an_exception_and_until_its_end_date() -> None:
    endpoint = serving("kyc-extraction")
    moved = [
        *changed(CONFIG, "confidential-gateway-config", _move(endpoint.id, "confidential-translator")),
        *as_other("internal-gateway-translator", "internal", "confidential"),
    ]
    moved_resources = [
        replace(resource, inputs={**resource.inputs, "data": {"config.yaml": _renamed(resource)}})
        if resource.name.endswith("confidential-gateway-translator-config")
        else resource
        for resource in moved
    ]
    assert "by a recorded exception only" in path_of(paths_of(moved_resources), "kyc-extraction").why
    platform = bank.platform()
    until = {"workload": "kyc-extraction", "target": "bedrock", "who": "dpo", "reason": "trial"}
    platform.exceptions.append(Exception_.model_validate({**until, "until": TODAY}))
    path = path_of(paths_of(moved_resources, platform), "kyc-extraction")
    assert "exception" not in path.why, path
    late = {
        data_path.id: data_path for data_path in data_paths(Graph(moved_resources), platform, "2026-11-27")
    }
    assert "by a recorded exception only" in path_of(late, "kyc-extraction").why


def _renamed(config: Resource) -> str:
    return config.inputs["data"]["config.yaml"].replace(
        f"name: {INTERNAL}--policy-assistant".replace("internal", "confidential"), "name: kyc-fields"
    )


GLOBAL = "arn:aws:bedrock:eu-central-1:1:inference-profile/global.anthropic.claude-haiku-4-5-20251001-v1:0"
AMERICAN = "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.mark.parametrize(
    ("kind", "name", "how", "verdict", "reason"),
    [
        (CONFIG, "internal-gateway-translator-config", edit("eu.anthropic", "global.anthropic"), "refused", "every"),
        (":InferenceProfile", PROFILE, lambda i: i["modelSource"].update(copyFrom=GLOBAL), "refused", "every"),
        (":InferenceProfile", PROFILE, lambda i: i["modelSource"].update(copyFrom=AMERICAN), "refused", "lies in us"),
        (":InferenceProfile", PROFILE, lambda i: i["modelSource"].update(copyFrom="x"), "undecided", "names no model"),
        (
            CONFIG,
            "internal-gateway-translator-config",
            edit(f":::${{{PROFILE}.arn}}", ":eu-central-1:1:application-inference-profile/x"),
            "undecided",
            "not known",
        ),
        (CONFIG, "internal-gateway-translator-config", edit(BEDROCK, "https://bedrock.x"), "refused", "internet"),
        (CONFIG, "internal-gateway-translator-config", edit(BEDROCK, "null"), "refused", "the public name"),
        (
            CONFIG,
            "internal-gateway-translator-config",
            edit(".eu-central-1.vpce", ".us-east-1.vpce"),
            "refused",
            "us-east-1 lies in us",
        ),
        (
            CONFIG,
            "internal-gateway-translator-config",
            edit("models:", "outbound:\n  proxy: http://10.40.0.9:3128\nmodels:"),
            "refused",
            "the proxy http://10.40.0.9:3128",
        ),
        (
            CONFIG,
            "internal-gateway-translator-config",
            edit("- internal-gateway.isthmus-internal", "- public-gateway.isthmus-public"),
            "refused",
            "takes requests of public-gateway.isthmus-public.svc, which is of public",
        ),
        (
            CONFIG,
            f"{RESTRICTED}-config",
            edit("- restricted-gateway.isthmus-restricted.svc", "- '*'"),
            "undecided",
            "takes requests of *",
        ),
        (CONFIG, f"{RESTRICTED}-config", edit("127.0.0.1:8000", "10.40.9.9:80"), "refused", "hands requests on"),
        (CONFIG, "internal-gateway-config", edit("internal-translator.i", "nobody.i"), "undecided", "nobody is known"),
        (CONFIG, "internal-gateway-config", edit("internal-translator.isthmus-internal.svc:8", "a.b:8"), "undecided", "a.b"),  # noqa: E501
        (CONFIG, "internal-gateway-config", edit("policy-assistant", "another"), "undecided", "names no internal"),
        (CONFIG, "internal-gateway-config", edit("class: internal", "class: public"), "refused", "of class public"),
        (
            CONFIG,
            "internal-gateway-config",
            edit("internal-translator.isthmus-internal", "public-translator.isthmus-public"),
            "refused",
            "of class public",
        ),
        (
            CONFIG,
            "restricted-gateway-config",
            edit(f"{RESTRICTED}.isthmus-restricted.svc:8443", "bedrock-runtime.eu-central-1.amazonaws.com"),
            "refused",
            "is a cloud's",
        ),
    ],
)  # fmt: skip
def test_a_route_or_model_that_leads_to_another_place_is_refused_or_undecided(
    kind: str, name: str, how: Change, verdict: str, reason: str
) -> None:
    changes = worse(changed(kind, name, how))
    assert any(change[0] == verdict and reason in change[1] for change in changes.values()), changes


def test_a_service_with_an_external_name_is_a_data_path() -> None:
    host = "bedrock-runtime.eu-central-1.amazonaws.com"

    def outside(inputs: dict[str, Any]) -> None:
        inputs["spec"] = {"type": "ExternalName", "externalName": host}

    assert any(
        host in reason for _, reason in worse(changed(":Service", f"{RESTRICTED}-service", outside)).values()
    )


POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ROLE = {"roleArn": "arn:aws:iam::1:role/x"}
HOST = {"name": "URL", "value": "https://bedrock-runtime.eu-central-1.amazonaws.com"}


def _policy(namespace: str, *peers: dict[str, Any], **labels: str) -> list[Resource]:
    spec = {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Egress"],
        "egress": [{"to": list(peers)}],
    }
    return more(POLICY, {"metadata": {"name": "more", "namespace": namespace}, "spec": spec})


def _pod(namespace: str, **spec: Any) -> list[Resource]:
    pod = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "x", **spec}]}}
    return more("kubernetes:apps/v1:Deployment", workload("Deployment", namespace, pod))


def _account(namespace: str) -> list[Resource]:
    notes = {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}
    meta = {"name": "more", "namespace": namespace, "annotations": notes}
    return more("kubernetes:core/v1:ServiceAccount", {"metadata": meta})


def _associated(namespace: str) -> list[Resource]:
    kind = "aws:eks/podIdentityAssociation:PodIdentityAssociation"
    return more(kind, {"namespace": namespace, "serviceAccount": "more", **ROLE})


@pytest.mark.parametrize(
    ("resources_given", "class_", "verdict", "reason"),
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
def test_a_network_path_that_bypasses_the_gateway_is_reported(
    resources_given: list[Resource], class_: str, verdict: str, reason: str
) -> None:
    known_paths = paths_of(resources())
    new = [path for key, path in paths_of(resources_given).items() if key not in known_paths]
    assert [
        path for path in new if (path.class_, path.verdict) == (class_, verdict) and reason in path.why
    ], new


def test_a_translator_model_without_a_route_is_a_data_path_too() -> None:
    """A translator calls it for whoever reaches the translator."""
    entry = "models:\n- name: spare\n  region: us-east-1\n  inference_profile: amazon.nova-lite-v1:0\n"
    changed_resources = changed(CONFIG, "internal-gateway-translator-config", edit("models:\n", entry))
    (path,) = [
        path for path in paths_of(changed_resources).values() if any(hop.name == "spare" for hop in path.hops)
    ]
    assert (path.verdict, path.hops[-1].name) == ("refused", "us-east-1")
    assert "us-east-1 lies in us" in path.why


def _unknown(name: str) -> list[Resource]:
    return [
        replace(resource, inputs={**resource.inputs, "data": {"config.yaml": UNKNOWN}})
        if resource.name.endswith(name)
        else resource
        for resource in resources()
    ]


def test_an_unknown_configuration_is_undecided_and_shows_the_resources_it_depends_on() -> None:
    """As under the engine before the first `up`: whole texts are unknown, what they are made of is known."""
    paths = paths_of(_unknown("internal-gateway-translator-config"))
    path = path_of(paths, "policy-assistant")
    assert (path.verdict, path.hops[-2].name) == ("undecided", PROFILE)
    assert path.hops[-1].name.startswith("eu-central-1, eu-north-1")
    assert "not known before it is made" in path.why
    assert (
        path_of(paths_of(_unknown("public-gateway-translator-config")), "campaign-copy").verdict == "allowed"
    )


def test_without_a_platform_internal_and_restricted_paths_are_undecided() -> None:
    paths = {data_path.id: data_path for data_path in data_paths(Graph(resources()), None, TODAY)}
    by_workload = {
        name: path_of(paths, name) for name in ("campaign-copy", "kyc-extraction", "policy-assistant")
    }
    assert by_workload["campaign-copy"].verdict == by_workload["kyc-extraction"].verdict == "allowed"
    assert "nothing says the residency of internal work" in by_workload["policy-assistant"].why
    assert "where the cluster fra1 stands" in path_of(paths, "transaction-narratives").why


@pytest.mark.parametrize(
    ("label", "message"), [("public", "labelled as of public work"), (None, "bears no label of its class")]
)
def test_a_namespace_whose_class_label_was_lowered_is_judged_by_its_name(
    label: str | None, message: str
) -> None:
    def lower(inputs: dict[str, Any]) -> None:
        inputs["metadata"]["labels"]["isthmus.dev/class"] = label

    paths = paths_of(changed(":Namespace", "restricted-namespace", lower))
    assert path_of(paths, "transaction-narratives").class_ == "restricted"
    assert any(path.verdict == "refused" and message in path.why for path in paths.values())


def test_an_unknown_class_is_treated_as_restricted() -> None:
    pod: Callable[[str], dict[str, Any]] = lambda class_: {  # noqa: E731
        "metadata": {"labels": {"isthmus.dev/class": class_}},
        "spec": {"containers": [{"name": "x", "env": [HOST]}]},
    }
    changed_resources = more(
        "kubernetes:apps/v1:Deployment", workload("Deployment", "apps", pod("restrictd"))
    )
    assert any(
        path.class_ == "restricted" and "is a cloud's" in path.why
        for path in paths_of(changed_resources).values()
    )


if __name__ == "__main__":
    GOLDEN.write_text(written(paths_of(resources()).values()))
