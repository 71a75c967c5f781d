"""The component TrustAnchor: the certificate authority that IAM Roles Anywhere trusts, one for each site."""

from typing import Any, NotRequired, TypedDict

import pulumi

from components.base.argument_checks import MODES, check_choice
from isthmus.contracts.reference.certificate_authorities import certificates_only, check_ca
from isthmus.core.errors import InputError

NOTICE_DAYS = 30


class TrustAnchorArgs(TypedDict):
    """The certificate authority whose certificates AWS accepts as identities."""

    name: str
    """Name of the trust anchor."""
    region: str
    """AWS region in which sessions are created."""
    mode: str
    """`manage`: created here. `existing`: the organisation's, named below. `off`: none."""
    ca_certificates: NotRequired[str]
    """`manage`: at most two CA certificates as PEM, never of a public web CA."""
    acm_pca: NotRequired[str]
    """`manage`: instead, ARN of a private CA of AWS Certificate Manager in the region."""
    trust_anchor: NotRequired[str]
    """`existing`: ARN of the trust anchor."""
    notice_days: NotRequired[int]
    """Days before the CA's expiry at which AWS notifies (default 30)."""
    bearer_notice_days: NotRequired[int]
    """The same for client certificates. Absent: no notification, since short-lived ones always expire soon."""
    tags: NotRequired[dict[str, str]]
    """Tags of the trust anchor."""


class TrustAnchor(pulumi.ComponentResource):
    """A trust anchor of IAM Roles Anywhere. Only clients with a certificate of this CA get a session."""

    arn: pulumi.Output[str]
    """ARN of the trust anchor. Empty with `off`."""

    def __init__(self, name: str, args: TrustAnchorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:TrustAnchor", name, dict(args), opts)
        where = f"trust.{args['name']}"
        mode = check_choice(args["mode"], MODES, f"{where}.mode")
        if mode == "manage":
            self.arn = self._make(name, args, _source(args, where))
        elif mode == "existing":
            self.arn = pulumi.Output.from_input(_existing(args, where))
        else:
            self.arn = pulumi.Output.from_input("")
        self.register_outputs({"arn": self.arn})

    def _make(self, name: str, args: TrustAnchorArgs, source: dict[str, Any]) -> pulumi.Output[str]:
        from pulumi_aws import rolesanywhere

        bearer_notice_days = args.get("bearer_notice_days")
        anchor = rolesanywhere.TrustAnchor(
            f"{name}-anchor",
            enabled=True,
            source=source,  # type: ignore[arg-type]
            # Both are set, because AWS sets a missing one to 45 days.
            notification_settings=[  # type: ignore[arg-type]
                _notice("CA_CERTIFICATE_EXPIRY", args.get("notice_days", NOTICE_DAYS)),
                _notice("END_ENTITY_CERTIFICATE_EXPIRY", bearer_notice_days),
            ],
            tags=args.get("tags", {}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return anchor.arn


def _source(args: TrustAnchorArgs, where: str) -> dict[str, Any]:
    """The CA that AWS trusts, checked."""
    pem, authority = args.get("ca_certificates"), args.get("acm_pca")
    if (pem is None) == (authority is None):
        raise InputError(
            "exactly one is needed: ca_certificates or acm_pca",
            where=where,
            fix="Set ca_certificates to the PEM of the CA that signs the identities' certificates, or set acm_pca",
        )
    if pem is not None:
        check_ca(pem, f"{where}.ca_certificates")
        return {
            "source_type": "CERTIFICATE_BUNDLE",
            "source_data": {"x509_certificate_data": certificates_only(pem)},
        }
    _in_region(authority or "", "acm-pca", args["region"], f"{where}.acm_pca")
    return {"source_type": "AWS_ACM_PCA", "source_data": {"acm_pca_arn": authority}}


def _existing(args: TrustAnchorArgs, where: str) -> str:
    arn = args.get("trust_anchor", "")
    if not arn:
        raise InputError(
            "mode is existing, but trust_anchor is missing", where=where, fix="Set trust_anchor to its ARN"
        )
    _in_region(arn, "rolesanywhere", args["region"], f"{where}.trust_anchor")
    return arn


def _in_region(arn: str, service: str, region: str, where: str) -> None:
    fields = arn.split(":")
    if len(fields) < 6 or fields[0] != "arn" or fields[2] != service or fields[3] != region:
        raise InputError(
            f"'{arn}' is not an ARN of {service} in {region}",
            where=where,
            fix="Use a trust anchor, authority and profile of one region",
        )


def _notice(event: str, days: int | None) -> dict[str, Any]:
    return {"event": event, "channel": "ALL", "enabled": days is not None, "threshold": days or NOTICE_DAYS}
