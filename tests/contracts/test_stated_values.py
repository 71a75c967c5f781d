"""What a platform names outside itself, and what of it is foreign."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.stated_values import StatedValue, is_private, stated_values
from tests.blueprints import bank


def with_field(path: tuple[str | int, ...], value: Any) -> Platform:
    """The bank's platform with one changed field, without the rules between fields: an edit may pass them."""
    return _set(bank.platform(), path, value)


def _set(part: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    key, *rest = path
    if isinstance(part, list):
        copy = list(part)
        copy[int(key)] = _set(copy[int(key)], tuple(rest), value)
        return copy
    if isinstance(part, dict):
        return {**part, key: _set(part.get(key), tuple(rest), value)}
    return part.model_copy(update={str(key): _set(getattr(part, str(key)), tuple(rest), value)})


def foreign(platform: Platform) -> list[tuple[str, str, str]]:
    return [(value.kind, value.value, value.where) for value in stated_values(platform) if value.foreign]


def test_the_bank_names_nothing_foreign():
    assert foreign(bank.platform()) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("sites", 0, "cidrs"), ["52.94.0.0/16"], ("address_ranges", "52.94.0.0/16", "sites[fra1].cidrs[0]")),
        (("sites", 0, "cidrs"), ["0.0.0.0/0"], ("address_ranges", "0.0.0.0/0", "sites[fra1].cidrs[0]")),
        (("sites", 0, "cidrs"), ["10.0.0.0/7"], ("address_ranges", "10.0.0.0/7", "sites[fra1].cidrs[0]")),
        (("sites", 0, "dns"), ["8.8.8.8"], ("address_ranges", "8.8.8.8/32", "sites[fra1].dns[0]")),
        (
            ("sites", 0, "dns"),
            ["2001:4860:4860::8888"],
            ("address_ranges", "2001:4860:4860::8888/128", "sites[fra1].dns[0]"),
        ),
        (
            ("images", "registries"),
            ["registry.bank.example/", "docker.io/evil/"],
            ("registries", "docker.io/evil", "images.registries[1]"),
        ),
        (
            ("images", "registries"),
            ["registry.bank.example.evil/"],
            ("registries", "registry.bank.example.evil", "images.registries[0]"),
        ),
        (
            ("images", "edge"),
            f"docker.io/evil/edge:1@sha256:{'0' * 64}",
            ("registries", "docker.io/evil/edge", "images.edge"),
        ),
        (("monitoring", "namespace"), "default", ("namespaces", "default", "monitoring.namespace")),
        (
            ("operators", "gpu_operator_namespace"),
            "kube-system",
            ("namespaces", "kube-system", "operators.gpu_operator_namespace"),
        ),
        (
            ("operators", "gpu_operator_release", "chart"),
            "oci://ghcr.io/evil/gpu-operator",
            ("charts", "oci://ghcr.io/evil/gpu-operator", "operators.gpu_operator_release.chart"),
        ),
        (
            ("operators", "gpu_operator_release", "values"),
            {"operator": {"repository": "ghcr.io/evil"}},
            ("registries", "ghcr.io/evil", "operators.gpu_operator_release.values.operator.repository"),
        ),
        (
            ("sites", 1, "assume_role"),
            "arn:aws:iam::444455556666:role/deploy",
            ("principals", "arn:aws:iam::444455556666:role/deploy", "sites[frankfurt].assume_role"),
        ),
        (
            ("sites", 1, "kms_key"),
            "arn:aws:kms:eu-central-1:444455556666:key/1",
            ("keys", "arn:aws:kms:eu-central-1:444455556666:key/1", "sites[frankfurt].kms_key"),
        ),
    ],
)
def test_a_foreign_value_is_found_wherever_it_stands(
    path: tuple[str | int, ...], value: Any, expected: tuple[str, str, str]
):
    platform = with_field(path, value)
    platform = platform.model_copy(update={"sites": [_in_account(site) for site in platform.sites]})
    assert expected in foreign(platform)


def _in_account(site: Any) -> Any:
    return site.model_copy(update={"account_id": "111122223333"}) if site.kind == "aws" else site


def test_the_only_account_that_a_platform_names_is_its_own():
    role = "arn:aws:iam::444455556666:role/deploy"
    alone = with_field(("sites", 1, "assume_role"), role)
    assert foreign(alone) == []
    two = _set(alone, ("sites", 1, "kms_key"), "arn:aws:kms:eu-central-1:111122223333:key/1")
    assert {kind for kind, _, _ in foreign(two)} == {"principals", "keys"}


def test_the_records_of_an_existing_bucket_in_aws_go_to_a_foreign_bucket():
    platform = bank.platform()
    index = next(index for index, store in enumerate(platform.audit) if store.site == "frankfurt")
    store = platform.audit[index].model_copy(
        update={"mode": "existing", "bucket": "evil-records", "endpoint": None}
    )
    expected = ("buckets", "evil-records", f"audit[{store.name}].bucket")
    assert expected in foreign(_set(platform, ("audit", index), store))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("oci://registry.bank.example/llm/weights", []),
        (
            "oci://docker.io/evil/weights",
            [("registries", "docker.io/evil/weights", "endpoints[{}].weights.uri")],
        ),
    ],
)
def test_weights_in_an_image_count_by_their_registry(uri: str, expected: list[tuple[str, str, str]]):
    platform = bank.platform()
    endpoint = platform.endpoints[0]
    weights = (
        endpoint.weights.model_copy(update={"uri": f"{uri}@sha256:{'0' * 64}"}) if endpoint.weights else None
    )
    edited = _set(platform, ("endpoints", 0), endpoint.model_copy(update={"weights": weights}))
    assert foreign(edited) == [(kind, value, where.format(endpoint.id)) for kind, value, where in expected]


def test_values_that_are_the_organisations_own_are_stated_but_not_foreign():
    values = {value.value: value for value in stated_values(bank.platform())}
    assert values["10.40.0.0/16"] == StatedValue("address_ranges", "10.40.0.0/16", "sites[fra1].cidrs[0]")
    assert values["fra1"].kind == "clusters"
    assert values["s3.fra1.bank.example"].kind == "hosts"


@pytest.mark.parametrize(
    ("range_", "private"),
    [
        *[
            (text, True)
            for text in ("10.0.0.0/8", "172.31.0.0/16", "192.168.1.1/32", "100.64.0.0/10", "fd00::/8")
        ],
        *[
            (text, False)
            for text in ("0.0.0.0/0", "172.16.0.0/11", "11.0.0.0/8", "100.0.0.0/8", "::/0", "2a00::/16")
        ],
    ],
)
def test_a_range_is_private_only_as_a_whole(range_: str, private: bool):
    assert is_private(range_) is private
