"""Checkov over every rendering: what it finds is on a short list with reasons, and the list cannot grow unnoticed."""

from __future__ import annotations

import copy
import fnmatch
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.graders import checkov, manifests, terraform
from tests.graders.checkov import Finding, Graded
from tests.graders.examples import ROOT, Rendering, data

MOST = 15
EXCEPTIONS, CONTROLS, UNEXAMINED = (data(name) for name in ("exceptions", "controls", "unexamined"))
LISTS = {"kubernetes": "kubernetes", "terraform_plan": "terraform"}
"""Checkov's frameworks, and the list of checks that each draws on."""


def write_manifests(bodies: Iterable[manifests.Body], folder: Path) -> None:
    """A file for all: Checkov reads JSON as it reads YAML."""
    folder.mkdir(parents=True)
    deployments = [as_deployment for body in bodies for as_deployment in manifests.as_deployments(body)]
    (folder / "manifests.yaml").write_text("---\n".join(json.dumps(body) + "\n" for body in deployments))


def write_plan(resources: Iterable[terraform.Resource], folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "tfplan.json").write_text(json.dumps(terraform.plan(resources)))


@pytest.fixture(scope="module")
def graded(rendered: dict[str, Rendering], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Graded]:
    """Both runs, over all renderings."""
    folders = {framework: tmp_path_factory.mktemp(framework) for framework in LISTS}
    for rendering in rendered.values():
        if rendering.manifests:
            # Two sites may have a namespace of one name.
            for site in sorted((rendering.folder / "kubernetes").iterdir()):
                bodies = manifests.read(sorted(site.glob("*/*.yaml")))
                write_manifests(bodies, folders["kubernetes"] / rendering.name / site.name)
        if rendering.aws:
            write_plan(terraform.resources(rendering.folder), folders["terraform_plan"] / rendering.name)
    return {framework: checkov.run(folder, framework) for framework, folder in folders.items()}


def covers(exception: dict[str, str], finding: Finding) -> bool:
    return exception["check"] == finding.check and fnmatch.fnmatchcase(finding.resource, exception["on"])


def refused_by_aws(finding: Finding, resources: Iterable[terraform.Resource]) -> bool:
    """Control 3 where AWS takes no key for an endpoint's storage: what is captured from it must be encrypted then."""
    (control,) = [control for control in CONTROLS if "refused_on" in control]
    if finding.check not in control["checks"]:
        return False
    (resource_inputs,) = [
        resource["inputs"] for resource in resources if terraform.address(resource) == finding.resource
    ]
    kinds = {
        str(production_variant.get("instanceType", "")).split(".")[1:2][0]
        for production_variant in resource_inputs["productionVariants"]
    }
    capture = resource_inputs.get("dataCaptureConfig")
    return kinds <= set(control["refused_on"]) and (capture is None or bool(capture.get("kmsKeyId")))


@pytest.mark.parametrize("framework", LISTS)
def test_checkov_finds_nothing_but_the_exceptions(rendered, graded, framework: str):
    new = [
        finding
        for finding in graded[framework].findings
        if not any(covers(exception, finding) for exception in EXCEPTIONS)
        and not refused_by_aws(finding, terraform.resources(rendered[finding.rendering].folder))
    ]
    assert not new, "\n".join(
        f"{finding.rendering}: {finding.resource}: {finding.check} {finding.says}" for finding in new
    )
    assert graded[framework].passed > 20 * len(graded[framework].findings), "it looked at next to nothing"


@pytest.mark.parametrize(
    ("instance", "capture", "refused"),
    [
        ("ml.g6e.2xlarge", None, True),
        ("ml.g6e.2xlarge", {"kmsKeyId": "arn"}, True),
        ("ml.g6e.2xlarge", {}, False),
        ("ml.m7i.large", None, False),
    ],
)
def test_an_endpoint_s_storage_goes_without_our_key_only_where_aws_refuses_it(instance, capture, refused):
    inputs = {"productionVariants": [{"instanceType": instance}], "dataCaptureConfig": capture}
    type_ = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    resource = {"urn": f"urn:pulumi:x::isthmus::{type_}::made", "type": type_, "inputs": inputs}
    finding = Finding("CKV_AWS_98", terraform.address(resource), "x", "")
    assert refused_by_aws(finding, [resource]) == refused
    assert not refused_by_aws(finding._replace(check="CKV_AWS_7"), [resource])


def test_every_exception_is_needed(graded):
    findings = [finding for grade in graded.values() for finding in grade.findings]
    idle = [
        exception["check"]
        for exception in EXCEPTIONS
        if not any(covers(exception, finding) for finding in findings)
    ]
    assert not idle, f"take them out of data/exceptions.yaml: {idle}"


def test_the_exceptions_are_few_each_with_a_reason_and_on_no_control():
    assert len(EXCEPTIONS) <= MOST
    assert len({(exception["check"], exception["on"]) for exception in EXCEPTIONS}) == len(EXCEPTIONS)
    guarded = {check: control["what"] for control in CONTROLS for check in control["checks"]}
    for exception in EXCEPTIONS:
        assert set(exception) == {"check", "on", "reason"}, exception
        assert len(exception["reason"].split()) > 10, f"{exception['check']}: that is no reason"
        assert exception["on"].split(".")[0].strip("*"), (
            f"{exception['check']}: `{exception['on']}` is every resource"
        )
        assert exception["check"] not in guarded, (
            f"{exception['check']} is on a control: {guarded[exception['check']]}"
        )


def test_the_docs_tell_of_every_exception_and_of_what_was_not_tried():
    text = (ROOT / "docs" / "graders.md").read_text()
    assert {exception["check"] for exception in EXCEPTIONS} == set(
        re.findall(r"^\| (CKV\w+) \|", text, re.MULTILINE)
    )
    assert "No network plugin and no IAM was exercised." in " ".join(text.split())


def test_exceptions_and_controls_name_existing_checks():
    known_checks = {check for framework in checkov.all_checks().values() for check in framework["checks"]}
    named_checks = {exception["check"] for exception in EXCEPTIONS} | {
        check for control in CONTROLS for check in control["checks"]
    }
    # Of policies written as Terraform data sources, which is a registry of its own.
    of_documents = {f"CKV_AWS_{number}" for number in (1, 49, 107, 108, 109, 110, 111, 283, 356)}
    assert named_checks - of_documents <= known_checks, named_checks - of_documents - known_checks


def test_every_type_was_translated_to_one_that_terraform_has(rendered):
    kinds = {resource["type"] for some in rendered.values() for resource in terraform.resources(some.folder)}
    known_types = set(checkov.all_checks()["terraform"]["types"])
    missing = {type_: terraform.kind(type_) for type_ in kinds if terraform.kind(type_) not in known_types}
    assert not missing, f"say in terraform.TYPES or MODULES what these are called: {missing}"


@pytest.mark.parametrize("framework", LISTS)
def test_types_without_a_checkov_check_are_listed(rendered, graded, framework: str):
    if framework == "kubernetes":
        bodies = [body for rendering in rendered.values() for body in manifests.read(rendering.manifests)]
        kinds = {as_deployment["kind"] for body in bodies for as_deployment in manifests.as_deployments(body)}
    else:
        all_resources = [
            resource for rendering in rendered.values() for resource in terraform.resources(rendering.folder)
        ]
        kinds = {terraform.kind(resource["type"]) for resource in all_resources}
    silent = kinds - graded[framework].examined
    listed = set(UNEXAMINED[framework])
    assert silent == listed, (
        f"data/unexamined.yaml lacks {sorted(silent - listed)}, has too much: {sorted(listed - silent)}"
    )


def test_only_the_model_s_own_container_may_write_to_its_root(rendered):
    writable = {
        container["name"]
        for rendering in rendered.values()
        for body in manifests.read(rendering.manifests)
        for template in manifests.templates(body)
        for container in [*template.spec["containers"], *template.spec.get("initContainers", [])]
        if not container["securityContext"].get("readOnlyRootFilesystem")
    }
    assert writable == {"vllm"}


def test_only_the_resolver_adds_a_capability_and_only_the_one_that_the_standard_permits(rendered):
    added = {
        (container["name"], capability)
        for rendering in rendered.values()
        for body in manifests.read(rendering.manifests)
        for template in manifests.templates(body)
        for container in [*template.spec["containers"], *template.spec.get("initContainers", [])]
        for capability in container["securityContext"].get("capabilities", {}).get("add", [])
    }
    assert added == {("resolver", "NET_BIND_SERVICE")}


# Each breaks one thing; Checkov must then name the check, on the resource.
Change = Callable[[Any], None]


def container(**changes: Any) -> Change:
    return lambda body: body["spec"]["template"]["spec"]["containers"][0].update(changes)


def security(**changes: Any) -> Change:
    return lambda body: body["spec"]["template"]["spec"]["containers"][0]["securityContext"].update(changes)


def inputs(**changes: Any) -> Change:
    return lambda resource: resource["inputs"].update(changes)


def a_star(resource: dict[str, Any]) -> None:
    policy = json.loads(resource["inputs"]["policy"])
    policy["Statement"].append({"Effect": "Allow", "Action": "*", "Resource": "*"})
    resource["inputs"]["policy"] = json.dumps(policy)


PODS: dict[str, Change] = {
    "CKV_K8S_16": security(privileged=True),
    "CKV_K8S_20": security(allowPrivilegeEscalation=True),
    "CKV_K8S_28": security(capabilities={}),
    "CKV_K8S_43": container(image="registry.example/edge:latest"),
    "CKV_K8S_13": container(resources={}),
    "CKV_K8S_19": lambda body: body["spec"]["template"]["spec"].update(hostNetwork=True),
    "CKV_K8S_38": lambda body: body["spec"]["template"]["spec"].pop("automountServiceAccountToken"),
}
RESOURCES: dict[str, tuple[str, Change | None]] = {
    "CKV_AWS_145": ("s3/bucketServerSideEncryptionConfiguration", None),
    "CKV2_AWS_6": ("s3/bucketPublicAccessBlock", None),
    "CKV_AWS_21": ("s3/bucketVersioning", None),
    "CKV_AWS_7": ("kms/key", inputs(enableKeyRotation=False)),
    "CKV_AWS_36": ("cloudtrail/trail", inputs(enableLogFileValidation=False)),
    "CKV_AWS_67": ("cloudtrail/trail", inputs(isMultiRegionTrail=False)),
    "CKV_AWS_158": ("cloudwatch/logGroup", lambda resource: resource["inputs"].pop("kmsKeyId")),
    "CKV_AWS_338": ("cloudwatch/logGroup", inputs(retentionInDays=7)),
    "CKV_AWS_63": ("iam/rolePolicy", a_star),
    "CKV_AWS_25": ("vpc/securityGroupIngressRule", inputs(cidrIpv4="0.0.0.0/0", fromPort=0, toPort=65535)),
}
"""A part of a resource's type, and what is done to the first of them; None: it is left out."""


@pytest.fixture(scope="module")
def broken(rendered: dict[str, Rendering], tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """What Checkov says of them, as (what is broken, check): each pod by itself, the resources all together."""
    pods, plans = tmp_path_factory.mktemp("pods"), tmp_path_factory.mktemp("plans")
    for check, change in PODS.items():
        bodies = manifests.read(rendered["pilot"].manifests)
        (body,) = manifests.of_kind(bodies, "Deployment", "internal-gateway")
        change(body)
        write_manifests([body], pods / check)
    resources_broken = copy.deepcopy(terraform.resources(rendered["bank-dev"].folder))
    for type_, spoil in RESOURCES.values():
        chosen_resource = next(
            candidate for candidate in resources_broken if candidate["type"].startswith(f"aws:{type_}:")
        )
        if spoil is None:
            resources_broken.remove(chosen_resource)
        else:
            spoil(chosen_resource)
    write_plan(resources_broken, plans / "all")
    findings = [*checkov.run(pods, "kubernetes").findings, *checkov.run(plans, "terraform_plan").findings]
    return {(finding.rendering, finding.check) for finding in findings}


@pytest.mark.parametrize("check", [*PODS, *RESOURCES])
def test_broken_renderings_are_found(broken, check: str):
    assert (check if check in PODS else "all", check) in broken
