"""Translators' certificates in a cluster, checked before a run against trust anchor and role."""

from __future__ import annotations

import base64
import datetime
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from components.aws.identity import mapping as identity_mapping
from isthmus.contracts.platform.model.platform import Platform
from isthmus.core.errors import EnvironmentFault, InputError, Refused
from isthmus.core.kubernetes_client import ApiRefusal, KubeClient
from isthmus.engine.kubernetes import identity_certificates
from tests.aws_sandbox.authority import DAY, Authority
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse

SUBJECT = "internal-translator.isthmus-internal.svc"
SPACE = "/api/v1/namespaces/isthmus-internal"
OURS = Authority("Bank LLM identities")
ISSUED = {"cert-manager.io/issuer-name": "bank-identities", "cert-manager.io/issuer-kind": "ClusterIssuer"}


class FakeCluster(KubeClient):
    """A cluster that holds some objects, by path; `status` refuses all."""

    def __init__(self, objects: dict[str, dict[str, Any]], status: int = 0) -> None:
        super().__init__("fra1", "https://fra1.invalid", None)
        self.objects = objects
        self.status = status
        self.asked: list[str] = []

    def call(self, method: str, path: str, body: Any = None, **_: Any) -> Any:
        assert method == "GET"
        self.asked.append(path)
        if self.status:
            raise ApiRefusal(self.status, "forbidden")
        if path not in self.objects:
            raise ApiRefusal(404, "not found")
        return self.objects[path]


def pem(*certificates: x509.Certificate) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in certificates)


def issued(issuer: Authority = OURS, name: str = SUBJECT, **more: Any) -> str:
    return pem(issuer.issue(name, **more).certificate)


def secret(text: str, annotations: dict[str, str] | None = None, data: dict[str, str] | None = None) -> Any:
    data_fields = {"tls.crt": base64.b64encode(text.encode()).decode(), "tls.key": "c2VjcmV0", **(data or {})}
    return {"metadata": {"annotations": annotations or {}}, "data": data_fields}


def platform(stated_name: str | None = "pki", **trust: Any) -> Platform:
    data = platform_data()
    data["trust"][0].update({"ca_certificates": OURS.pem, **trust})
    if stated_name:
        data["identities"][0]["certificate_secret"] = stated_name
    return parse(data)


def check(
    live_secret: dict[str, Any] | None,
    stated_name: str | None = "pki",
    status: int = 0,
    namespace: bool = True,
    **trust: Any,
) -> list[str]:
    name = stated_name or "internal-translator-identity"
    objects: dict[str, Any] = {SPACE: {}} if namespace else {}
    if live_secret is not None:
        objects[f"{SPACE}/secrets/{name}"] = live_secret
    cluster = cast(KubeClient, FakeCluster(objects, status))
    return identity_certificates.bearers_check(platform(stated_name, **trust), {"fra1": cluster})


def test_lookups_cover_the_types_that_components_create():
    built = platform(None)
    (bearer,) = identity_certificates.find_bearers(built)
    assert bearer.subject == identity_mapping.subject(built.identities[0]) == SUBJECT
    assert (bearer.site, bearer.namespace, bearer.secret) == (
        *("fra1", "isthmus-internal"),
        "internal-translator-identity",
    )


def test_a_valid_certificate_of_the_translator_is_accepted():
    assert check(secret(issued())) == []
    assert check(secret(issued(), ISSUED), stated_name=None) == []


@pytest.mark.parametrize("stated_name", ["pki", None])
def test_a_foreign_issuer_with_the_authoritys_name_is_refused(stated_name: str | None):
    foreign = secret(issued(Authority("Bank LLM identities")), ISSUED)
    with pytest.raises(Refused, match="which the trust anchor does not hold") as caught:
        check(foreign, stated_name)
    name = stated_name or "internal-translator-identity"
    assert str(caught.value).startswith(f"site fra1 (Secret isthmus-internal/{name}): ")
    assert "Add the authority that signs it" in caught.value.fix
    assert "\n" not in str(caught.value)


def test_a_certificate_behind_an_intermediate_in_the_secret_is_refused():
    between = Authority("Between", above=OURS)
    leaf = between.issue(SUBJECT)
    with pytest.raises(Refused, match="issued by 'CN=Between'"):
        check(secret(pem(leaf.certificate, between.certificate)))
    assert check(secret(pem(leaf.certificate)), ca_certificates=between.pem) == []


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        ({"before": 3 * DAY, "after": -1 * DAY}, "ended on "),
        ({"before": -1 * DAY, "after": 2 * DAY}, "begins on "),
        ({"name": "public-translator.isthmus-public.svc"}, f"the role asks for `{SUBJECT}`"),
        ({"dns": "translator.bank.example"}, "with the DNS names translator.bank.example"),
        ({"is_authority": True}, "is an authority's certificate, not a bearer's"),
        ({"signs": False}, "is not for signatures"),
    ],
)
def test_a_certificate_that_aws_would_refuse_is_reported_first(certificate: dict[str, Any], message: str):
    with pytest.raises(Refused, match=message):
        check(secret(issued(**certificate)))
    (warning,) = check(secret(issued(**certificate), ISSUED), stated_name=None)
    assert message in warning
    assert warning.endswith("cert-manager will replace it")


def test_a_certificate_that_cert_manager_will_replace_is_not_refused():
    foreign_secret = secret(issued(Authority("Other")), {**ISSUED, "cert-manager.io/issuer-name": "earlier"})
    (warning,) = check(foreign_secret, stated_name=None)
    assert "another issuer signed the current certificate" in warning


def test_the_issuer_is_not_checked_if_the_authority_is_in_acm_pca():
    arn = "arn:aws:acm-pca:eu-central-1:123456789012:certificate-authority/a1"
    foreign = issued(Authority("Of ACM"))
    assert check(secret(foreign), ca_certificates=None, acm_pca=arn) == []
    old = issued(Authority("Of ACM"), before=2 * DAY, after=-DAY)
    with pytest.raises(Refused, match="ended on"):
        check(secret(old), ca_certificates=None, acm_pca=arn)


def test_a_missing_named_secret_in_an_existing_namespace_is_refused():
    with pytest.raises(EnvironmentFault, match="does not exist") as caught:
        check(None)
    assert f"Create the Secret with a certificate for `{SUBJECT}`" in caught.value.fix
    (warning,) = check(None, namespace=False)
    assert "this run creates the namespace, and the translator waits for the Secret" in warning


def test_a_secret_that_cert_manager_creates_may_be_missing():
    assert check(None, stated_name=None) == []
    assert check(None, stated_name=None, namespace=False) == []


def test_a_cluster_that_denies_access_to_secrets_is_reported():
    (warning,) = check(secret(issued()), status=403)
    assert "cannot be read (403: forbidden), so it is unknown whether AWS accepts it" in warning


@pytest.mark.parametrize(
    ("live_secret", "kind", "message"),
    [
        ({"data": {}}, EnvironmentFault, r"has no tls\.crt"),
        (secret("x", data={"tls.key": ""}), EnvironmentFault, r"has no tls\.key"),
        (secret("x", data={"tls.crt": "%%"}), EnvironmentFault, r"tls\.crt is not text"),
        (secret("hello"), InputError, "not PEM"),
        (secret(issued() + "-----BEGIN PRIVATE KEY-----"), Refused, "the text contains a private key"),
    ],
)
def test_a_secret_without_a_certificate_is_reported(
    live_secret: dict[str, Any], kind: type[Exception], message: str
):
    with pytest.raises(kind, match=message) as caught:
        check(live_secret)
    assert "Secret isthmus-internal/pki" in str(caught.value)


def test_a_site_without_translators_is_not_checked():
    cluster = FakeCluster({}, 500)
    built = platform("pki")
    assert identity_certificates.bearers_check(built, {"elsewhere": cast(KubeClient, cluster)}) == []
    assert cluster.asked == []


def test_certificate_expiry_is_checked_to_the_second_and_not_to_the_day():
    now = datetime.datetime.now(datetime.UTC)
    cluster = FakeCluster(
        {SPACE: {}, f"{SPACE}/secrets/pki": secret(issued(after=datetime.timedelta(hours=1)))}
    )
    reached = {"fra1": cast(KubeClient, cluster)}
    assert identity_certificates.bearers_check(platform(), reached, now) == []
    with pytest.raises(Refused, match=r"ended on \d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC"):
        identity_certificates.bearers_check(platform(), reached, now + datetime.timedelta(hours=2))
