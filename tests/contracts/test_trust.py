"""The trust file: what it may say, which values an entry covers, and until when."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from isthmus.contracts import policy_settings
from isthmus.contracts.trust import KINDS, Kind, Trust, covers, parse
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, IsthmusError
from isthmus.core.yaml_documents import Document

TODAY = date(2026, 11, 29)


def trust(kind: Kind, value: str, **fields: Any) -> Trust:
    return parse(Document({kind: [{"value": value, "reason": "audited", "owner": "ana", **fields}]}))


@pytest.mark.parametrize(
    ("kind", "trusted", "covered", "not_covered"),
    [
        (
            "registries",
            "registry.bank.example/ai",
            "registry.bank.example/ai/vllm",
            "registry.bank.example/aimed",
        ),
        ("registries", "registry.bank.example/", "registry.bank.example", "registry.bank.example.evil"),
        ("address_ranges", "198.18.0.0/15", "198.19.4.0/24", "198.20.0.0/24"),
        ("address_ranges", "198.18.0.0/15", "198.18.0.1", "198.16.0.0/12"),
        ("address_ranges", "2a00:1450::/32", "2a00:1450:4001::/48", "198.18.0.0/16"),
        ("accounts", "111122223333", "111122223333", "111122223334"),
        (
            "principals",
            "arn:aws:iam::111122223333:role/a",
            "arn:aws:iam::111122223333:role/a",
            "arn:aws:iam::1:role/a",
        ),
        ("namespaces", "default", "default", "default2"),
        (
            "resource_types",
            "kubernetes:velero.io/*",
            "kubernetes:velero.io/v1:Schedule",
            "kubernetes:velero/v1:X",
        ),
        ("resource_types", "aws:dlm/x:X", "aws:dlm/x:X", "aws:dlm/x:Xs"),
        ("principals", "oidc:risk-*", "oidc:risk-models", "oidc:rise"),
        ("objects", "isthmus-internal/ca-*", "isthmus-internal/ca-expiry", "isthmus-restricted/ca-expiry"),
        ("changes", "database of gateway a: x", "database of gateway a: x", "database of gateway a: xy"),
        ("engine_flags", "--enable-lora", "--enable-lora", "--enable-lora-bias"),
    ],
)
def test_an_entry_covers_its_value_and_nothing_beside_it(
    kind: Kind, trusted: str, covered: str, not_covered: str
):
    entries = trust(kind, trusted)
    assert entries.find(kind, covered, TODAY) is not None
    assert entries.find(kind, not_covered, TODAY) is None


def test_an_entry_of_one_kind_trusts_nothing_of_another():
    entries = trust("namespaces", "monitoring")
    assert [kind for kind in KINDS if entries.find(kind, "monitoring", TODAY)] == ["namespaces"]


def test_a_trusted_account_covers_its_principals_and_keys():
    entries = trust("accounts", "111122223333")
    assert entries.find("principals", "arn:aws:iam::111122223333:role/backup", TODAY) is not None
    assert entries.find("keys", "arn:aws:kms:eu-central-1:111122223333:key/1", TODAY) is not None
    assert entries.find("principals", "arn:aws:iam::444455556666:role/backup", TODAY) is None
    assert entries.find("buckets", "backup", TODAY) is None


def test_an_entry_covers_another_one_that_says_less():
    assert covers(("registries", "registry.bank.example/ai"), ("registries", "registry.bank.example/ai/x"))
    assert not covers(
        ("registries", "registry.bank.example/ai/x"), ("registries", "registry.bank.example/ai")
    )
    role = "arn:aws:iam::111122223333:role/backup"
    assert covers(("accounts", "111122223333"), ("principals", role))
    assert not covers(("accounts", "111122223333"), ("buckets", "111122223333"))
    assert not covers(("objects", "team"), ("namespaces", "team"))


def test_an_entry_counts_until_the_end_of_its_last_day():
    entries = trust("accounts", "111122223333", expires="2026-11-29")
    assert entries.find("accounts", "111122223333", date(2026, 11, 29)) is not None
    assert entries.find("accounts", "111122223333", date(2026, 11, 30)) is None
    assert [kind for kind, _ in entries.expired(date(2026, 11, 30))] == ["accounts"]
    assert list(entries.expired(TODAY)) == []


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("address_ranges", "0.0.0.0/0", "`0.0.0.0/0` is every address"),
        ("address_ranges", "10.0.0.1/8", "`10.0.0.1/8` is not an address range"),
        ("resource_types", "aws:*:Bucket", "`aws:*:Bucket` matches too much"),
        ("resource_types", "aws:*", "`aws:*` names no service"),
        ("resource_types", "aws:s3*", "`aws:s3*` names no service"),
        ("resource_types", "aws*", "`aws*` names no provider"),
        ("resource_types", "kubernetes:*", "`kubernetes:*` names no API group"),
        ("resource_types", "kubernetes:velero*", "`kubernetes:velero*` names no API group"),
        ("resource_types", "kube*", "`kube*` names no provider"),
        ("principals", "arn:aws:iam::111122223333:role/*", "is more than one principal of AWS"),
        ("principals", "*", "`*` matches too much"),
        ("managers", "*", "`*` matches too much"),
        ("accounts", "bank", "accounts"),
        ("registries", "https://registry.bank.example", "registries"),
    ],
)
def test_a_value_that_is_not_of_its_kind_is_refused(kind: Kind, value: str, problem: str):
    with pytest.raises(IsthmusError) as raised:
        trust(kind, value)
    assert problem in str(raised.value)


@pytest.mark.parametrize(
    "value",
    [
        "kubernetes:velero.io/*",
        "kubernetes:core/v1:Con*",
        "kubernetes:yaml:ConfigFile",
        "aws:dlm/*",
        "vault:*",
    ],
)
def test_a_type_may_be_named_by_its_group_or_service(value: str):
    assert trust("resource_types", value).find("resource_types", value, TODAY) is not None


def test_an_entry_needs_a_reason_and_an_owner():
    with pytest.raises(InputError, match="reason"):
        parse(Document({"buckets": [{"value": "records", "owner": "ana"}]}))
    with pytest.raises(InputError, match="owner"):
        parse(Document({"buckets": [{"value": "records", "reason": "audited"}]}))


def test_an_error_names_the_line_of_the_trust_file(tmp_path):
    file = tmp_path / "trust.yaml"
    file.write_text(
        "isthmus: v1\nbuckets:\n  - {value: records, reason: audited, owner: ana, untill: 2027-01-01}\n"
    )
    with pytest.raises(InputError, match=r"trust\.yaml:3.*untill"):
        parse(yaml_files.load(file))


def test_policy_settings_have_no_trust_of_their_own():
    with pytest.raises(InputError, match=r"Move what is under `trust` to trust\.yaml"):
        policy_settings.parse(Document({"trust": {"accounts": []}}), ())


def test_a_stack_keeps_the_trust_of_its_organisation():
    organisation = policy_settings.Settings(trust=trust("accounts", "111122223333"))
    assert policy_settings.merge(organisation, policy_settings.Settings()).trust == organisation.trust
