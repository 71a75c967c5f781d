"""Records of a gateway in the platform: where they are stored, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.lookups.records import has_managed_s3_endpoint
from isthmus.contracts.platform.model.aws.account import Network
from isthmus.contracts.platform.model.aws.eks import Cluster
from isthmus.contracts.platform.model.platform import AuditStore
from isthmus.core.errors import InputError, Refused
from tests import private
from tests.components.fargate import cloud, secret
from tests.contracts.bank import platform_data, refused
from tests.policies.making import platform_with

Change = Callable[[dict[str, Any]], object]


def audit(data: dict[str, Any], at: int = 0) -> dict[str, Any]:
    return data["gateways"][at]["audit"]


def keeps(data: dict[str, Any], at: int, **days: int) -> None:
    audit(data, at)["content"] = {
        "volume": "keys",
        "days": {key.replace("_", "-"): d for key, d in days.items()},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["gateways"][0].pop("audit"),
            "gateway restricted-fra1 has no `audit`, but class restricted must",
        ),
        (
            lambda d: d["gateways"][2].pop("audit"),
            "has no `audit`, but class internal must keep",
        ),
        (lambda d: audit(d).update(max_unsealed_s=181), "wait at most 180 s"),
        (
            lambda d: keeps(d, 2, policy_assistant=1),
            "is kept for 1 days, but class internal allows no stored content",
        ),
        (
            lambda d: keeps(d, 1, kyc=31),
            "content of workload kyc is kept for 31 days, but class confidential",
        ),
        (lambda d: d["audit"][0].update(address="52.94.1.1"), "outside the on-prem sites' networks"),
    ],
)
def test_a_platform_that_loses_records_or_keeps_too_much_is_refused(change: Change, message: str) -> None:
    assert message in refused(Refused, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["audit"][0].pop("address"),
            "the audit store fra1 has no address, and network policies need",
        ),
        (lambda d: d["audit"][0].update(address="10.40.0.999"), "`10.40.0.999` is not an address"),
        (lambda d: d["images"].pop("translator"), "images.translator"),
        (lambda d: keeps(d, 0, other=1), "gateway restricted-fra1 has no workload `other`"),
        (
            lambda d: audit(d).update(sealer_volume="records-restricted"),
            "volume records-restricted is used twice, as restricted-fra1's audit.vo",
        ),
        (
            lambda d: audit(d, 1).update(volume="records-restricted"),
            "volume records-restricted is used twice, as restricted-fra1's audit.vo",
        ),
        (lambda d: audit(d).update(policy="v 12"), "a policy's version like `v12`"),
        (lambda d: audit(d).pop("sealer_secret"), "sealer_secret"),
    ],
)
def test_an_impossible_setting_is_refused_with_its_reason(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


def test_restricted_content_is_kept_for_the_stated_days() -> None:
    data = platform_data()
    keeps(data, 0, transaction_narratives=1825)
    audit = overrides.validate(data).gateways[0].audit
    assert audit is not None
    assert audit.content is not None
    assert audit.content.days == {"transaction-narratives": 1825}


EKS: list[tuple[Change, type[Exception], str]] = [
    (
        lambda d: d["gateways"][0].pop("audit"),
        Refused,
        "gateway confidential-frankfurt has no `audit`, but class confidential must keep",
    ),
    (lambda d: audit(d).update(volume="v"), InputError, "sealer_volume is missing"),
    (lambda d: audit(d).update(secret=secret("a")), InputError, "its secret is a secret of AWS"),
    (
        lambda d: d["audit"][0].update(address="10.99.0.1"),
        Refused,
        "outside the networks of the sites in AWS",
    ),
    (
        lambda d: d["audit"][0].update(mode="existing", bucket="own-audit", endpoint="https://s3.example"),
        InputError,
        "writes to AWS S3 only",
    ),
    (
        lambda d: d["networks"][0].update(
            mode="existing",
            vpc="vpc-1a",
            zones=[],
            subnets=["subnet-1a", "subnet-1b"],
            route_tables=["rtb-1a"],
        ),
        InputError,
        "the address of S3 at frankfurt is not known",
    ),
]


@pytest.mark.parametrize(("change", "kind", "message"), EKS)
def test_a_gateway_in_eks_whose_records_cannot_be_sealed_is_refused(
    change: Change, kind: type[Exception], message: str
) -> None:
    data = private.data()
    change(data)
    with pytest.raises(kind, match=message):
        overrides.validate(data)


FARGATE: list[tuple[Change, type[Exception], str]] = [
    (
        lambda d: d["gateways"][0].pop("audit"),
        Refused,
        "has no `audit`, but class internal must keep",
    ),
    (lambda d: audit(d).update(volume="v", sealer_volume="w"), InputError, "which has no PersistentVolumes"),
    (
        lambda d: audit(d).update(secret="named"),
        InputError,
        "its secret is not a secret of AWS Secrets Manager",
    ),
    (
        lambda d: audit(d).update(sealer_secret=audit(d)["secret"]),
        Refused,
        "the gateway would get the signing key",
    ),
    (
        lambda d: keeps(d, 0, claims=1),
        Refused,
        "is kept for 1 days, but class internal allows no stored content",
    ),
]


@pytest.mark.parametrize(("change", "kind", "message"), FARGATE)
def test_a_gateway_on_fargate_whose_records_cannot_be_sealed_is_refused(
    change: Change, kind: type[Exception], message: str
) -> None:
    data = cloud()
    change(data)
    with pytest.raises(kind, match=message):
        overrides.validate(data)


def test_values_that_follow_from_the_platform_are_not_required_in_aws() -> None:
    for data in (private.data(), cloud()):
        platform = overrides.validate(data)
        for gateway in platform.gateways:
            assert gateway.audit is not None
            assert (gateway.audit.volume, gateway.audit.sealer_volume) == (None, None)
        (store,) = platform.audit
        assert (store.bucket, store.endpoint, store.address) == (None, None, None)


def test_isthmus_makes_the_sealers_s3_endpoint_only_in_its_own_cluster_and_network() -> None:
    def has_endpoint(cluster: Cluster | None, store: AuditStore | None, network: str = "manage") -> bool:
        networks = [Network.model_construct(name="net", site="frankfurt", mode=network)]
        platform = platform_with(
            clusters=[cluster] if cluster else [], audit=[store] if store else [], networks=networks
        )
        return has_managed_s3_endpoint(platform, "frankfurt")

    managed, existing = (
        Cluster.model_construct(name="eks", site="frankfurt", mode=mode, network="net")
        for mode in ("manage", "existing")
    )
    store = AuditStore.model_construct(name="seals", site="frankfurt", address=None)
    assert has_endpoint(managed, store)
    assert not has_endpoint(None, store)
    assert not has_endpoint(existing, store)
    assert not has_endpoint(managed, None)
    assert not has_endpoint(managed, store.model_copy(update={"address": "10.80.0.9"}))
    assert not has_endpoint(managed, store, network="existing")


def test_an_on_prem_gateway_must_name_its_volumes() -> None:
    assert "gateway restricted-fra1 has no volume, which an on-prem site needs" in refused(
        InputError, lambda d: audit(d).pop("volume")
    )
    assert "gateway restricted-fra1 has no sealer_volume, which an on-prem site" in refused(
        InputError, lambda d: audit(d).pop("sealer_volume")
    )
