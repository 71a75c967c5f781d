"""What AWS would refuse before it makes anything: types, shapes, patterns and characters of every rendered input."""

from __future__ import annotations

import copy
import fnmatch
import json
from typing import Any, NamedTuple

import pytest
import regex

from tests.graders import aws_api, aws_values, cloudformation, terraform
from tests.graders.examples import Rendering, data
from tests.graders.terraform import Resource

EXCEPTIONS = data("cfn_lint")
INSTEAD = {type_ for type_, call in aws_api.CALLS.items() if call.get("instead")}
"""Types that CloudFormation does not check."""
EC2_TEXT = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"
"""A description of a security group or of one of its rules (EC2 API reference, CreateSecurityGroup, IpRange)."""
TAG_TEXT = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]"
"""A character of a tag that every service takes (Tagging AWS resources, "Tag naming limits and requirements")."""
GROUPS = ("aws:ec2/securityGroup:", "aws:vpc/securityGroup")


class Finding(NamedTuple):
    """What cfn-lint says of a property."""

    rule: str
    rendering: str
    path: str
    message: str


@pytest.fixture(scope="module")
def filled(rendered: dict[str, Rendering]) -> dict[str, list[Resource]]:
    """The AWS resources of each rendering, with values in the place of placeholders."""
    return {
        name: aws_values.fill(terraform.resources(rendering.folder)) for name, rendering in rendered.items()
    }


def lint(rendering: str, resources: list[Resource]) -> list[Finding]:
    from cfnlint.api import lint as cfn_lint
    from cfnlint.config import ManualArgs

    template = cloudformation.template(resources, INSTEAD)
    config = ManualArgs(regions=[aws_values.REGION])
    matches: Any = cfn_lint(json.dumps(template), config=config)
    return [
        Finding(match.rule.id, rendering, "/".join(map(str, match.path)), match.message) for match in matches
    ]


@pytest.fixture(scope="module")
def linted(filled: dict[str, list[Resource]]) -> list[Finding]:
    return [finding for name, resources in filled.items() if resources for finding in lint(name, resources)]


def covers(exception: dict[str, str], finding: Finding) -> bool:
    return exception["rule"] == finding.rule and fnmatch.fnmatchcase(finding.message, exception["about"])


def test_cfn_lint_finds_nothing_but_the_exceptions(linted: list[Finding]) -> None:
    new = [finding for finding in linted if not any(covers(exception, finding) for exception in EXCEPTIONS)]
    assert not new, "\n".join(
        f"{finding.rendering} {finding.path}: {finding.rule} {finding.message}" for finding in new
    )


def test_every_exception_is_needed_and_has_a_reason(linted: list[Finding]) -> None:
    for exception in EXCEPTIONS:
        assert set(exception) == {"rule", "about", "reason"}
        assert len(exception["reason"].split()) > 10, f"{exception['rule']}: that is no reason"
        assert exception["about"].strip("*"), f"{exception['rule']}: every message is about nothing"
        assert any(covers(exception, finding) for finding in linted), (
            f"take it out of data/cfn_lint.yaml: {exception['rule']} {exception['about']}"
        )


def test_every_type_is_checked_and_no_line_of_the_tables_is_idle(
    filled: dict[str, list[Resource]], linted: list[Finding]
) -> None:
    types = {resource["type"] for resources in filled.values() for resource in resources}
    table = cloudformation.TABLE
    named_types = {type_ for part in ("types", "parts", "added", "autonamed") for type_ in table[part]}
    assert named_types | set(aws_api.CALLS) <= types, f"not rendered any more: {named_types - types}"
    paths = {
        (type_, path)
        for part in ("properties", "dropped")
        for type_, paths in table[part].items()
        for path in paths
    }
    assert paths <= cloudformation.Names.used, sorted(paths - cloudformation.Names.used)
    assert not INSTEAD & {*table["types"], *table["parts"]}
    reasons = [reason for paths in table["dropped"].values() for reason in paths.values()]
    reasons += [call["reason"] for call in aws_api.CALLS.values()]
    assert all(len(reason.split()) > 5 for reason in reasons)


def test_the_models_of_aws_s_calls_take_what_cloudformation_does_not_check(
    filled: dict[str, list[Resource]],
) -> None:
    findings = [
        f"{name}: {resource['urn']}: {finding}"
        for name, resources in filled.items()
        for resource in resources
        if resource["type"] in aws_api.CALLS
        for finding in aws_api.findings(resource)
    ]
    assert not findings, "\n".join(findings)


def refused_text(resource: Resource) -> list[str]:
    """Descriptions and tags of a resource with a character that AWS refuses, by path."""
    inputs, refused = resource["inputs"], []
    if resource["type"].startswith(GROUPS) and not regex.fullmatch(EC2_TEXT, inputs.get("description", "")):
        refused.append(f"description: {inputs.get('description')}")
    for key, value in (inputs.get("tags") or {}).items():
        if not regex.fullmatch(f"(?!aws:){TAG_TEXT}{{1,128}}", key) or not regex.fullmatch(
            f"{TAG_TEXT}{{0,256}}", value
        ):
            refused.append(f"tags.{key}: {value}")
    return refused


def test_descriptions_and_tags_have_only_characters_that_aws_takes(
    filled: dict[str, list[Resource]],
) -> None:
    refused = {
        f"{resource['urn'].rpartition('::')[2]}: {text}"
        for resources in filled.values()
        for resource in resources
        for text in refused_text(resource)
    }
    assert not refused, "\n".join(sorted(refused))


def test_the_group_that_came_with_a_network_has_no_rule(filled: dict[str, list[Resource]]) -> None:
    groups = [
        resource["inputs"]
        for resources in filled.values()
        for resource in resources
        if resource["type"] == "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    ]
    assert groups
    assert all(group["egress"] == group["ingress"] == [] for group in groups)


# Each breaks one thing in a resource of its type; the judge must then name it.
LINTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "an unknown enumeration": ("aws:ec2/flowLog:", {"trafficType": "SOME"}, "E3030"),
    "a text where a number belongs": ("aws:kms/key:", {"deletionWindowInDays": "soon"}, "E3012"),
    "a number out of range": ("aws:kms/key:", {"deletionWindowInDays": 3}, "E3034"),
    "an apostrophe in a group's description": (
        "aws:ec2/securityGroup:",
        {"description": "The edge's"},
        "E3031",
    ),
    "a name too long": ("aws:iam/role:", {"name": "a" * 65}, "E3033"),
    "a days figure that CloudWatch lacks": ("aws:cloudwatch/logGroup:", {"retentionInDays": 366}, "E3030"),
}


@pytest.fixture(scope="module")
def broken(filled: dict[str, list[Resource]]) -> list[Finding]:
    """Findings about one template with all faults of `LINTED`, each in a resource of its own."""
    spoilt = []
    for at, (type_, change, _) in enumerate(LINTED.values()):
        broken_resource = next(
            resource for resource in filled["bank-dev"] if resource["type"].startswith(type_)
        )
        inputs = {**copy.deepcopy(broken_resource["inputs"]), **change}
        spoilt.append({**broken_resource, "urn": f"{broken_resource['urn']}-spoilt{at}", "inputs": inputs})
    return lint("broken", spoilt)


@pytest.mark.parametrize("fault", LINTED)
def test_cfn_lint_finds_what_is_broken(broken: list[Finding], fault: str) -> None:
    rule, at = LINTED[fault][2], list(LINTED).index(fault)
    rules = [finding.rule for finding in broken if f"Spoilt{at}/" in finding.path]
    assert rule in rules, f"{fault}: {rules}"


@pytest.mark.parametrize(
    ("type_", "change", "path"),
    [
        ("aws:iam/role:Role", {"description": "Rolle für Prüfer \u2713"}, "Description"),
        ("aws:iam/role:Role", {"name": "a" * 65}, "RoleName"),
        ("aws:iam/policy:Policy", {"tags": {"isthmus's": "x"}}, "Tags.0.Key"),
        ("aws:costexplorer/costAllocationTag:CostAllocationTag", {"status": "On"}, "Status"),
    ],
)
def test_the_models_of_aws_s_calls_find_what_is_broken(
    filled: dict[str, list[Resource]], type_: str, change: dict[str, Any], path: str
) -> None:
    broken_resource = next(resource for resource in filled["bank-dev"] if resource["type"] == type_)
    assert aws_api.findings(broken_resource) == []
    (finding,) = aws_api.findings({**broken_resource, "inputs": {**broken_resource["inputs"], **change}})
    assert path in finding


@pytest.mark.parametrize(
    "change",
    [
        {"description": "The edge's rule"},
        {"description": ""},
        {"tags": {"a": "it's"}},
        {"tags": {"aws:a": ""}},
    ],
)
def test_the_rule_of_characters_finds_what_is_broken(
    filled: dict[str, list[Resource]], change: dict[str, Any]
) -> None:
    type_ = "aws:vpc/securityGroupIngressRule:"
    broken_resource = next(resource for resource in filled["bank-dev"] if resource["type"].startswith(type_))
    assert len(refused_text({**broken_resource, "inputs": {**broken_resource["inputs"], **change}})) == 1


def test_a_type_or_input_that_no_table_has_fails(filled: dict[str, list[Resource]]) -> None:
    broken_resource = next(
        resource for resource in filled["bank-dev"] if resource["type"] == "aws:ec2/vpc:Vpc"
    )
    with pytest.raises(cloudformation.Untranslated, match="no CloudFormation type"):
        cloudformation.template([{**broken_resource, "type": "aws:ec2/tunnel:Tunnel"}])
    with pytest.raises(cloudformation.Untranslated, match="called like 'mtu'"):
        cloudformation.template([{**broken_resource, "inputs": {**broken_resource["inputs"], "mtu": 9001}}])
