"""Whether an account may call a model on Bedrock, which no function of pulumi-aws tells: so AWS's own SDK asks.

A third party's model can be called once the account has agreed to its terms. The first call agrees by itself
where the caller may subscribe in AWS Marketplace, and is refused after some minutes where he may not: a
translator's role may not, so the agreement must be there before (Bedrock user guide, "Request access to models",
read 2026-11-25; an account of late 2026 says AVAILABLE for Amazon's own models too).
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
    """The account of one site, as its provider would ask it. Nothing is asked before the first model."""

    site: Site
    sandbox: bool
    _session: Any = None
    _asked: set[tuple[str, str]] = field(default_factory=set)

    def may_call(self, endpoint: Endpoint) -> list[str]:
        """Raise `Refused` where the endpoint's model may not be called; return what is to be known besides.

        `EnvironmentFault` where AWS does not tell. A model of several endpoints in a region is asked for once.
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
        except Exception as error:  # noqa: BLE001  botocore's errors have no base of their own
            text = " ".join(str(error).split())
            raise EnvironmentFault(
                f"the account of {self.site.name} does not tell whether it may call {model}: {text}",
                where=where,
                fix="Allow who deploys `bedrock:GetFoundationModelAvailability`, check credentials and network,"
                " then run the same command again",
            ) from None


def account_session(site: Site, *, sandbox: bool, why: str) -> Any:
    """With the credentials of `stacks.providers.aws`: change the two together."""
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
    """Refuse what the answer rules out. `told`: botocore's `GetFoundationModelAvailability`."""
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
    # A profile leads to other regions; that it is there has been asked, and where it leads.
    is_available_here = endpoint.inference_profile or availability["regionAvailability"] == "AVAILABLE"
    if availability["entitlementAvailability"] != "AVAILABLE" or not is_available_here:
        kind = "entitlementAvailability" if is_available_here else "regionAvailability"
        raise Refused(
            f"the account of {account} may not call {model}: {kind} is {availability[kind]}",
            where=where,
            fix="Have AWS or the organisation's owner grant it, or choose another model or region",
        )
    if availability["authorizationStatus"] != "AUTHORIZED":
        # AWS does not say whose authorization it is; a deployer need not be allowed to call models.
        warning = (
            f"AWS says {availability['authorizationStatus']} of {model} in the account of {account}, asked by who "
            "deploys"
        )
        return [
            f"{warning}: if a policy of the organisation denies the model, the gateway cannot call it either"
        ]
    return []
