"""Every IAM policy document of a rendering: of identities, resources, endpoints, keys, and who may take a role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.graders import aws_values
from tests.graders.terraform import Resource

KINDS = {
    ("aws:ec2/vpcEndpoint:VpcEndpoint", "policy"): "endpoint",
    ("aws:efs/fileSystemPolicy:FileSystemPolicy", "policy"): "resource",
    ("aws:iam/policy:Policy", "policy"): "identity",
    ("aws:iam/role:Role", "assumeRolePolicy"): "trust",
    ("aws:iam/rolePolicy:RolePolicy", "policy"): "identity",
    ("aws:kms/key:Key", "policy"): "key",
    ("aws:rolesanywhere/profile:Profile", "sessionPolicy"): "identity",
    ("aws:s3/bucketPolicy:BucketPolicy", "policy"): "resource",
    ("aws:sns/topicPolicy:TopicPolicy", "policy"): "resource",
}
"""Kind of a document, by its resource's type and input. Boundaries have the form of identity policies."""


@dataclass(frozen=True)
class Document:
    """A policy document, with values in the place of placeholders."""

    rendering: str
    urn: str
    kind: str
    text: str

    @property
    def name(self) -> str:
        """`Policy bank-frankfurt-budgets-deny`: how the lists in `data/` name it."""
        type_, name = self.urn.split("::")[-2:]
        return f"{type_.rpartition(':')[2]} {name}"

    @property
    def statements(self) -> list[dict[str, Any]]:
        return json.loads(self.text)["Statement"]


def documents_of(rendering: str, resources: list[Resource]) -> Iterator[Document]:
    """The documents in these resources, filled already. Raises `LookupError` for one in an unknown place."""
    for resource in resources:
        for key, value in resource["inputs"].items():
            if isinstance(value, str) and _is_policy(value):
                kind = KINDS[resource["type"], key]
                yield Document(rendering, resource["urn"], kind, _with_resource(value, kind, resource))


def _is_policy(text: str) -> bool:
    return text.lstrip().startswith("{") and '"Statement"' in text


def _with_resource(text: str, kind: str, resource: Resource) -> str:
    """Trust and key policies are about the resource that they stand on; checks of resources want to see which."""
    if kind not in ("trust", "key"):
        return text
    arn = aws_values.arn(resource)
    policy = json.loads(text)
    for statement in policy["Statement"]:
        if kind == "trust" or statement.get("Resource") in ("*", ["*"]):
            statement["Resource"] = arn
    return json.dumps(policy)
