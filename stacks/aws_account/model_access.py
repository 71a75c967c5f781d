"""Checks whether an account may call a model on Bedrock. pulumi-aws has no function for this, so it uses AWS's SDK.

A third party's model can be called once the account has agreed to its terms. The first call agrees automatically if the
caller may subscribe in AWS Marketplace; otherwise AWS refuses it after some minutes. The role of a translator may not
subscribe, so the agreement must exist before (Bedrock user guide, "Request access to models", read 2026-11-25). New
accounts report AVAILABLE for Amazon's own models too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from isthmus.core import aws_session
from isthmus.core.errors import EnvironmentFault, IsthmusError, Refused

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Endpoint, Site

_PURPOSE = "whether it may call the plan's models"
_GUIDE = "docs/stacks.md, `Access to models`"


@dataclass
class Account:
    """The account of one site, queried with the provider's credentials. It makes no request before the first model."""

    site: Site
    sandbox: bool
    _session: Any = None
    _asked: set[tuple[str, str]] = field(default_factory=set)

    def may_call(self, endpoint: Endpoint) -> list[str]:
        """Check whether the endpoint's model may be called. Returns warnings.

        Raises `Refused` if the model may not be called, and `EnvironmentFault` if AWS does not answer. A model of
        several endpoints in a region is checked once.
        """
        region = endpoint.region or self.site.region or ""
        if (region, endpoint.model) in self._asked:
            return []
        self._asked.add((region, endpoint.model))
        where = f"endpoints[{endpoint.id}].model"
        return _check_availability(
            self._told(region, endpoint.model, where), endpoint, f"{self.site.name}, {region}", where
        )

    def _told(self, region: str, model: str, where: str) -> dict[str, Any]:
        try:
            if self._session is None:
                self._session = account_session(self.site, sandbox=self.sandbox, why=_PURPOSE)
            bedrock = aws_session.client(self._session, "bedrock", region)
            return bedrock.get_foundation_model_availability(modelId=model)
        except IsthmusError:
            raise
        except Exception as error:  # noqa: BLE001  botocore's errors have no common base class
            text = " ".join(str(error).split())
            raise EnvironmentFault(
                f"the account of {self.site.name} does not tell whether it may call {model}: {text}",
                where=where,
                fix="Allow who deploys `bedrock:GetFoundationModelAvailability`, check credentials and network,"
                " then run the same command again",
            ) from None


def account_session(site: Site, *, sandbox: bool, why: str) -> Any:
    """A session with the credentials of `stacks.providers.aws`. Change both together."""
    role = {"roleArn": site.assume_role, "sessionName": "isthmus", "externalId": site.external_id}
    return aws_session.session(
        site.region or "",
        [role] if site.assume_role else [],
        why=why,
        accounts=[site.account_id] if site.account_id and not sandbox else [],
        keys=aws_session.SANDBOX_KEYS if sandbox else None,
    )


def _check_availability(
    availability: dict[str, Any], endpoint: Endpoint, account: str, where: str
) -> list[str]:
    """Raise for an answer that rules the model out. `availability`: botocore's `GetFoundationModelAvailability`."""
    model, agreement = endpoint.model, availability["agreementAvailability"]
    if agreement["status"] == "PENDING":
        raise Refused(
            f"the account of {account} has agreed to the terms of {model}, and AWS has not finished with it",
            where=where,
            fix="Wait some minutes, then run the same command again",
        )
    if agreement["status"] != "AVAILABLE":
        why = f" ({agreement['errorMessage']})" if agreement.get("errorMessage") else ""
        raise Refused(
            f"the account of {account} has not agreed to the terms of {model}: {agreement['status']}{why}",
            where=where,
            fix=f"Have who may subscribe in AWS Marketplace agree to them once ({_GUIDE})",
        )
    # A profile leads to other regions; another check covers its existence and its regions.
    is_available_here = endpoint.inference_profile or availability["regionAvailability"] == "AVAILABLE"
    if availability["entitlementAvailability"] != "AVAILABLE" or not is_available_here:
        kind = "entitlementAvailability" if is_available_here else "regionAvailability"
        raise Refused(
            f"the account of {account} may not call {model}: {kind} is {availability[kind]}",
            where=where,
            fix="Have AWS or the organisation's owner grant it, or choose another model or region",
        )
    if availability["authorizationStatus"] != "AUTHORIZED":
        # AWS does not say whose authorization this is, and a deployer need not be allowed to call models.
        warning = (
            f"AWS says {availability['authorizationStatus']} of {model} in the account of {account}, asked by who "
            "deploys"
        )
        return [
            f"{warning}: if a policy of the organisation denies the model, the gateway cannot call it either"
        ]
    return []
