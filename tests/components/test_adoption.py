"""What the organisation has already: namespaces, keys, and what is taken over by its id."""

import json
from typing import Any

import pytest

from isthmus.core.errors import InputError
from tests.components.conftest import Engine, build

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0a1b"


def site(platform: dict[str, Any], name: str) -> dict[str, Any]:
    return next(candidate for candidate in platform["sites"] if candidate["name"] == name)


@pytest.fixture
def adopting(engine: Engine, platform: dict[str, Any]) -> Engine:
    site(platform, "fra1")["existing_namespaces"] = ["confidential"]
    site(platform, "frankfurt")["kms_key"] = KEY
    platform["imports"] = {
        "Namespace isthmus-fra1-restricted-namespace": "isthmus-restricted",
        "Bucket isthmus-frankfurt-audit-bucket": "records-of-1999",
    }
    build(engine, platform)
    return engine


def test_existing_resources_are_adopted_and_not_created(adopting: Engine) -> None:
    labelled = adopting.only("NamespacePatch")
    assert labelled.meta["name"] == "isthmus-confidential"
    assert labelled.meta["labels"]["isthmus.dev/class"] == "confidential"
    assert labelled.meta["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "app.kubernetes.io/part-of" not in labelled.meta["labels"], "it is not ours"
    assert labelled.retained, "without its labels it would be a namespace without rules"
    spaces = {namespace.meta["name"] for namespace in adopting.all("Namespace")}
    assert {name for name in spaces if not name.endswith("-sealer")} == {
        *("isthmus-public", "isthmus-internal", "isthmus-restricted")
    }
    inside = {
        network_policy.meta["name"]
        for network_policy in adopting.all("NetworkPolicy")
        if network_policy.meta["namespace"] == "isthmus-confidential"
    }
    assert "default-deny" in inside
    # The organisation's key seals every log and the store.
    assert {log_group.inputs["kmsKeyId"] for log_group in adopting.all("LogGroup") if log_group.retained} == {
        KEY
    }
    (rule,) = adopting.only("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == KEY
    assert KEY in json.dumps(adopting.only("BucketPolicy").inputs["policy"])
    assert adopting.only("Trail").inputs["kmsKeyId"] == KEY
    assert not [key.name for key in adopting.all("Key") if key.retained], "no key of ours holds records"
    assert not [line for line in adopting.outputs["retained"] if ":kms" in line], (
        "theirs is not ours to leave"
    )
    assert adopting.only("Bucket").inputs["bucket"] == "records-of-1999", "not a name made up anew"
    imported = {(resource.kind, resource.imported) for resource in adopting.made if resource.imported}
    assert imported == {("Namespace", "isthmus-restricted"), ("Bucket", "records-of-1999")}


def test_an_import_of_what_the_platform_does_not_make_names_the_nearest(
    engine: Engine, platform: dict[str, Any]
) -> None:
    platform["imports"] = {"Bucket isthmus-frankfurt-audit-buckets": "b"}
    with pytest.raises(InputError, match="isthmus-frankfurt-audit-bucket`"):
        build(engine, platform)
