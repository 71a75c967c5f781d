"""The authority whose certificates AWS takes for identities."""

from typing import Any

import pytest

from components import TrustAnchor
from isthmus.core.errors import InputError, Refused
from tests import authority
from tests.components.conftest import Engine

REGION = "eu-central-1"
PCA = f"arn:aws:acm-pca:{REGION}:123456789012:certificate-authority/a"
ANCHOR = f"arn:aws:rolesanywhere:{REGION}:123456789012:trust-anchor/a"


def anchor(engine: Engine, **more: Any) -> None:
    engine.deploy(TrustAnchor, "t", {"name": "bank", "region": REGION, "mode": "manage", **more})


def test_only_the_certificates_of_an_authority_are_sent(
    engine: Engine,
) -> None:
    anchor(engine, ca_certificates=f"# the bank's\n{authority.pem()}", tags={"team": "ml"})
    trust_anchor = engine.only("TrustAnchor", "t-anchor").inputs
    assert trust_anchor["source"] == {
        "sourceType": "CERTIFICATE_BUNDLE",
        "sourceData": {"x509CertificateData": authority.pem()},
    }
    assert trust_anchor["enabled"] is True
    assert trust_anchor["tags"] == {"team": "ml"}
    assert engine.outputs["arn"] == "arn:aws:rolesanywhere/trustAnchor:::t-anchor"


def test_a_private_authority_of_aws_is_trusted_by_its_arn(engine: Engine) -> None:
    anchor(engine, acm_pca=PCA)
    source = engine.only("TrustAnchor").inputs["source"]
    assert source == {"sourceType": "AWS_ACM_PCA", "sourceData": {"acmPcaArn": PCA}}


def test_aws_tells_of_the_authoritys_end_and_of_bearers_only_where_asked(engine: Engine) -> None:
    anchor(engine, acm_pca=PCA)
    notices = {
        notification_setting["event"]: notification_setting
        for notification_setting in engine.only("TrustAnchor").inputs["notificationSettings"]
    }
    assert notices["CA_CERTIFICATE_EXPIRY"]["enabled"] is True
    assert notices["CA_CERTIFICATE_EXPIRY"]["threshold"] == 30
    assert notices["END_ENTITY_CERTIFICATE_EXPIRY"]["enabled"] is False, (
        "a certificate of a day always ends soon"
    )


def test_long_lived_certificates_are_reported(engine: Engine) -> None:
    anchor(engine, acm_pca=PCA, notice_days=60, bearer_notice_days=14)
    notices = {
        notification_setting["event"]: notification_setting
        for notification_setting in engine.only("TrustAnchor").inputs["notificationSettings"]
    }
    assert notices["CA_CERTIFICATE_EXPIRY"]["threshold"] == 60
    assert notices["END_ENTITY_CERTIFICATE_EXPIRY"] == {
        "event": "END_ENTITY_CERTIFICATE_EXPIRY",
        "channel": "ALL",
        "enabled": True,
        "threshold": 14,
    }


def test_an_existing_one_is_named_and_nothing_is_made(engine: Engine) -> None:
    anchor(engine, mode="existing", trust_anchor=ANCHOR)
    assert not engine.made
    assert engine.outputs["arn"] == ANCHOR


def test_off_names_nothing(engine: Engine) -> None:
    anchor(engine, mode="off")
    assert not engine.made
    assert engine.outputs["arn"] == ""


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({}, "ca_certificates or acm_pca"),
        ({"ca_certificates": "x", "acm_pca": PCA}, "ca_certificates or acm_pca"),
        ({"ca_certificates": "x"}, "trust.bank.ca_certificates: not PEM"),
        ({"acm_pca": PCA.replace("central", "west")}, "not an ARN of acm-pca in eu-central-1"),
        ({"acm_pca": ANCHOR}, "not an ARN of acm-pca"),
        ({"mode": "existing"}, "trust_anchor is missing"),
        ({"mode": "existing", "trust_anchor": ANCHOR.replace("eu-", "us-")}, "ARN of rolesanywhere in eu-c"),
        ({"mode": "on"}, "'on' is not known"),
    ],
)
def test_an_untrustworthy_certificate_is_refused_before_anything_is_created(
    engine: Engine, more: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        anchor(engine, **more)
    assert not engine.made


def test_a_private_key_among_the_certificates_is_refused(engine: Engine) -> None:
    with pytest.raises(Refused, match="private key"):
        anchor(engine, ca_certificates=authority.pem() + "-----BEGIN PRIVATE KEY-----")
    assert not engine.made
