"""What IAM would ignore or refuse: every policy document, and our roles beside the AWS managed policies."""

from __future__ import annotations

import fnmatch
import functools
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from components.aws.network.endpoint_policy import PREFIX
from isthmus.contracts.reference import roles as roles_of_people
from tests.graders import aws_values, iam_documents, parliament, terraform
from tests.graders.examples import Rendering, data
from tests.graders.iam_documents import Document
from tests.graders.parliament import Finding
from tests.graders.terraform import Resource

EXCEPTIONS, MANAGED = data("iam_exceptions"), data("managed_policies")


@pytest.fixture(scope="module")
def filled(rendered: dict[str, Rendering]) -> dict[str, list[Resource]]:
    """The AWS resources of each rendering, with values in the place of placeholders."""
    return {
        name: aws_values.fill(terraform.resources(rendering.folder)) for name, rendering in rendered.items()
    }


@pytest.fixture(scope="module")
def documents(filled: dict[str, list[Resource]]) -> list[Document]:
    rendered = [
        document
        for name, resources in filled.items()
        for document in iam_documents.documents_of(name, resources)
    ]
    return [*rendered, *people()]


def people() -> list[Document]:
    """The policies of people's roles, which no example has: it names nobody."""
    place = f"{aws_values.REGION}:{aws_values.ACCOUNT}"
    records = roles_of_people.Records(
        log_group=f"arn:aws:logs:{place}:log-group:trail",
        bucket="arn:aws:s3:::records",
        key=f"arn:aws:kms:{place}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        via=f"s3.{aws_values.REGION}.amazonaws.com",
    )
    return [
        Document(
            "people",
            f"urn:pulumi:x::isthmus::aws:iam/role:Role::people-{role}",
            "identity",
            json.dumps({"Version": "2012-10-17", "Statement": roles_of_people.iam_statements(role, records)}),
        )
        for role in roles_of_people.ACCOUNT
    ]


@pytest.fixture(scope="module")
def findings(documents: list[Document]) -> list[Finding]:
    return parliament.run(documents)


def covers(exception: dict[str, str], finding: Finding) -> bool:
    return (
        exception["issue"] == finding.issue
        and fnmatch.fnmatchcase(finding.document.name, exception["on"])
        and fnmatch.fnmatchcase(finding.detail, exception["about"])
    )


def test_parliament_finds_nothing_but_the_exceptions(findings: list[Finding]) -> None:
    new = {
        str(finding)
        for finding in findings
        if not any(covers(exception, finding) for exception in EXCEPTIONS)
    }
    assert not new, "\n".join(sorted(new))


def test_every_exception_is_needed_and_has_a_reason(findings: list[Finding]) -> None:
    for exception in EXCEPTIONS:
        assert set(exception) == {"issue", "on", "about", "reason"}
        assert len(exception["reason"].split()) > 10, f"{exception['issue']}: that is no reason"
        assert exception["about"].strip("*"), f"{exception['issue']}: it is about everything"
        assert any(covers(exception, finding) for finding in findings), (
            f"take it out of data/iam_exceptions.yaml: {exception['issue']} {exception['about']}"
        )


def test_documents_of_every_kind_are_read(documents: list[Document]) -> None:
    assert {document.kind for document in documents} == set(iam_documents.KINDS.values())
    assert len(documents) > 150


def test_a_document_in_an_unknown_place_fails() -> None:
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    queue = {"urn": "urn:pulumi:x::isthmus::aws:sqs/queue:Queue::q", "type": "aws:sqs/queue:Queue"}
    with pytest.raises(LookupError):
        list(iam_documents.documents_of("x", [{**queue, "inputs": {"policy": policy}, "needs": []}]))


def _identity(**statement: Any) -> Document:
    content = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::records/*", **statement}
    text = json.dumps({"Version": "2012-10-17", "Statement": [content]})
    return Document("broken", "urn:pulumi:x::isthmus::aws:iam/policy:Policy::broken", "identity", text)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"Action": "s3:ReadObject"}, "UNKNOWN_ACTION"),
    ({"Action": "storage:GetObject"}, "UNKNOWN_PREFIX"),
    ({"Action": "kms:DescribeKey"}, "RESOURCE_MISMATCH"),
    ({"Action": "kms:DescribeKey", "Resource": "*"}, "RESOURCE_STAR"),
    ({"Condition": {"StringEquals": {"s3:Colour": "red"}}}, "UNKNOWN_CONDITION_FOR_ACTION"),
    ({"Condition": {"StringEqual": {"aws:PrincipalTag/a": "b"}}}, "UNKNOWN_OPERATOR"),
    ({"Condition": {"Bool": {"aws:PrincipalArn": "true"}}}, "MISMATCHED_TYPE"),
    ({"Effect": "Maybe"}, "MALFORMED"),
]
"""A change of a sound statement, and what parliament calls it."""


@pytest.mark.parametrize(("change", "issue"), FAULTS)
def test_parliament_finds_what_is_broken(change: dict[str, Any], issue: str) -> None:
    assert issue in _broken()[json.dumps(change)], _broken()[json.dumps(change)]


@functools.cache
def _broken() -> dict[str, set[str]]:
    """Issues by change, all changes in one run."""
    changes = [change for change, _ in FAULTS]
    documents = [_identity(), *(_identity(**change) for change in changes)]
    issues: dict[str, set[str]] = {document.text: set() for document in documents}
    for finding in parliament.run(documents):
        issues[finding.document.text].add(finding.issue)
    assert not issues[documents[0].text], "the document is not sound before it is broken"
    return {
        json.dumps(change): issues[document.text]
        for change, document in zip(changes, documents[1:], strict=True)
    }


# Roles beside AWS's own.


@functools.cache
def managed_actions(name: str) -> frozenset[str]:
    """The actions that an AWS managed policy allows."""
    statements = json.loads(aws_managed_policies_data)[name]["Document"]["Statement"]
    return frozenset(actions(statement for statement in statements if statement["Effect"] == "Allow"))


def actions(statements: Iterable[dict[str, Any]]) -> Iterator[str]:
    for statement in statements:
        actions_of = statement.get("Action", [])
        yield from [actions_of] if isinstance(actions_of, str) else actions_of


def allowed(document: Document) -> set[str]:
    return set(actions(statement for statement in document.statements if statement["Effect"] == "Allow"))


def roles(resources: list[Resource], pattern: str) -> Iterator[tuple[str, set[str]]]:
    """Roles of this name in the program, each with what its own policies allow."""
    documents = {document.urn: document for document in iam_documents.documents_of("", resources)}
    for role in resources:
        name = role["urn"].rpartition("::")[2]
        if role["type"] == "aws:iam/role:Role" and fnmatch.fnmatchcase(name, pattern):
            policies = [
                policy["urn"]
                for policy in resources
                if policy["type"] == "aws:iam/rolePolicy:RolePolicy"
                and policy["inputs"]["role"] == role["inputs"]["name"]
            ]
            yield name, {action for urn in policies for action in allowed(documents[urn])}


@pytest.mark.parametrize("line", MANAGED, ids=lambda line: f"{line['managed']} {line['role']}")
def test_a_role_lacks_nothing_of_its_managed_policy_but_what_is_listed(
    filled: dict[str, list[Resource]], line: dict[str, Any]
) -> None:
    lacking: set[str] = set()
    roles_seen = [role for resources in filled.values() for role in roles(resources, line["role"])]
    assert roles_seen, f"no role is called {line['role']}"
    for name, role_actions in roles_seen:
        lacks = managed_actions(line["managed"]) - role_actions
        new = {
            action
            for action in lacks
            if not any(fnmatch.fnmatchcase(action, pattern) for pattern in line["lacks"])
        }
        assert not new, f"{name} lacks of {line['managed']}: {sorted(new)}"
        lacking |= lacks
    idle = [pattern for pattern in line["lacks"] if not fnmatch.filter(lacking, pattern)]
    assert not idle, f"take it out of data/managed_policies.yaml: {idle}"
    assert all(len(reason.split()) > 5 for reason in line["lacks"].values())


def test_the_managed_policies_are_those_of_march_2026_or_younger() -> None:
    """VPC CNI 1.22.1 ends where it may not look at security groups (eksctl issue 8768)."""
    assert "ec2:DescribeSecurityGroups" in managed_actions("AmazonEKS_CNI_Policy")


def test_an_endpoint_lets_through_what_the_roles_that_it_names_may_do(
    filled: dict[str, list[Resource]],
) -> None:
    """Else a call that the role may make ends at the endpoint."""
    missing = []
    for resources in filled.values():
        through = granted(resources)
        for role in resources:
            if role["type"] != "aws:iam/role:Role":
                continue
            arn = aws_values.arn(role)
            (_, role_actions), *_ = roles(resources, role["urn"].rpartition("::")[2])
            for (service, principal), granted_actions in through.items():
                if principal == arn:
                    prefix = PREFIX.get(service, service)
                    expected = {action for action in role_actions if action.startswith(f"{prefix}:")}
                    missing += [
                        f"{arn}: {action} by the endpoint of {service}"
                        for action in expected - granted_actions
                    ]
    assert not missing, "\n".join(sorted(set(missing)))


def granted(resources: list[Resource]) -> dict[tuple[str, str], set[str]]:
    """By service and role: the actions that private endpoints let through. Those of Amazon ECR count together."""
    through: dict[tuple[str, str], set[str]] = {}
    for endpoint in resources:
        if endpoint["type"] != "aws:ec2/vpcEndpoint:VpcEndpoint":
            continue
        service = endpoint["inputs"]["serviceName"].split(".", 3)[3]
        for statement in json.loads(endpoint["inputs"]["policy"])["Statement"]:
            principals = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:PrincipalArn", [])
            for principal in principals:
                prefix = "ecr" if service.startswith("ecr.") else service
                through.setdefault((prefix, principal), set()).update(actions([statement]))
    return through
