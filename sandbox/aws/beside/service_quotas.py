"""Service Quotas: those of Amazon Bedrock, which moto has none of, beside moto's own of Amazon VPC.

Names and codes are AWS's (its quota table and public listings of it, read 2026-11-25). **The values are not
an account's**: AWS sets them by account, region and history, a new account's are far lower, and sources
differ by a factor of two. `PUT /isthmus/service-quotas` sets what an account has; a reset forgets it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import arn
from sandbox.aws.pages import Got, Page
from sandbox.aws.service_frame import Asked, Operation, Refused

Quota = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One quota of Bedrock. `other` is the default outside of us-east-1, us-east-2 and us-west-2."""

    code: str
    name: str
    value: float
    other: float


_TOKENS = "Cross-region model inference tokens per minute for {}"
_REQUESTS = "Cross-region model inference requests per minute for {}"
_ROWS = (
    Row("L-DC7FF66C", _TOKENS.format("Amazon Nova Micro"), 4_000_000, 200_000),
    Row("L-7C42E72A", _TOKENS.format("Amazon Nova Lite"), 4_000_000, 200_000),
    Row("L-C0326783", _TOKENS.format("Amazon Nova Pro"), 800_000, 200_000),
    Row("L-58BE175A", _TOKENS.format("Anthropic Claude Haiku 4.5"), 5_000_000, 5_000_000),
    Row("L-F4DDD3EB", _TOKENS.format("Anthropic Claude Sonnet 4.5 V1"), 5_000_000, 5_000_000),
    Row("L-CCA5DF70", _REQUESTS.format("Anthropic Claude Haiku 4.5"), 10_000, 10_000),
    Row("L-4A6BFAB1", _REQUESTS.format("Anthropic Claude Sonnet 4.5 V1"), 10_000, 10_000),
)
"""Nova's values: AWS's table as of June 2025; Claude's: accounts in us-east-1, autumn 2026."""
_LARGE = ("us-east-1", "us-east-2", "us-west-2")


@dataclass
class Held:
    """Of one account and region: quotas that were set, by service and code."""

    set: dict[tuple[str, str], Quota] = field(default_factory=dict)


HELD = Memory(Held)


def _entry(asked: Asked, service: str, code: str, name: str, value: float) -> Quota:
    return {
        "ServiceCode": service,
        "ServiceName": "Amazon Bedrock" if service == "bedrock" else service,
        "QuotaArn": arn(asked, "servicequotas", f"{service}/{code}"),
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _defaults(asked: Asked, service: str) -> dict[str, Quota]:
    """A service's quotas by code. Raises `Refused` for a service that neither we nor moto know."""
    if service == "bedrock":
        large = asked.region in _LARGE
        rows = ((row.code, row.name, row.value if large else row.other) for row in _ROWS)
        return {code: _entry(asked, service, code, name, value) for code, name, value in rows}
    from moto.servicequotas.resources.default_quotas.vpc import VPC_DEFAULT_QUOTAS

    if service == "vpc":
        return {one["QuotaCode"]: dict(one) for one in VPC_DEFAULT_QUOTAS}
    return {}


def _applied(asked: Asked, service: str) -> dict[str, Quota]:
    mine = {code: one for (of, code), one in HELD.of(asked).set.items() if of == service}
    found = _defaults(asked, service) | mine
    if not found:
        raise _none()
    return found


def _none() -> Refused:
    message = "The request failed because the specified resource does not exist."
    return Refused("NoSuchResourceException", 400, message)


def _one(quotas: dict[str, Quota], code: str) -> dict[str, Any]:
    if code not in quotas:
        raise _none()
    return {"Quota": quotas[code]}


def get_service_quota(asked: Asked) -> dict[str, Any]:
    return _one(_applied(asked, asked.params["ServiceCode"]), asked.params["QuotaCode"])


def get_default(asked: Asked) -> dict[str, Any]:
    """AWS's own value: one that was set for an account has none here but itself."""
    service, code = asked.params["ServiceCode"], asked.params["QuotaCode"]
    return _one(_applied(asked, service) | _defaults(asked, service), code)


def _pages(asked: Asked, quotas: dict[str, Quota]) -> dict[str, Any]:
    found = [quotas[code] for code in sorted(quotas)]
    start = asked.params.get("NextToken") or "0"
    if not start.isdigit():
        raise Refused("InvalidPaginationTokenException", 400, "Invalid input was provided.")
    end = int(start) + int(asked.params.get("MaxResults") or 100)
    return {"Quotas": found[int(start) : end], **({"NextToken": str(end)} if end < len(found) else {})}


def list_service_quotas(asked: Asked) -> dict[str, Any]:
    return _pages(asked, _applied(asked, asked.params["ServiceCode"]))


def list_defaults(asked: Asked) -> dict[str, Any]:
    quotas = _defaults(asked, asked.params["ServiceCode"])
    if not quotas:
        raise _none()
    return _pages(asked, quotas)


def put_quotas(got: Got) -> tuple[int, Any]:
    """`{"region": …, "quotas": [{"quotaName" or "quotaCode": …, "value": …, "serviceCode"?}], "account"?}`, as given.

    A name that Bedrock's quotas have keeps its code; any other quota needs name and code.
    """
    body = got.json()
    entries = body.get("quotas") if isinstance(body, dict) else None
    region = body.get("region") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not isinstance(region, str):
        wanted = 'The body must be {"region": "…", "quotas": [{"quotaName": "…", "value": 0}]}.'
        raise Refused("ValidationException", 400, wanted)
    asked = Asked({}, region, got.meant())
    made: dict[tuple[str, str], Quota] = {}
    for one in entries:
        quota = _put(asked, one if isinstance(one, dict) else {})
        made[(quota["ServiceCode"], quota["QuotaCode"])] = quota
    HELD.of(asked).set |= made
    return 200, {"quotas": list(made.values())}


def _put(asked: Asked, one: dict[str, Any]) -> Quota:
    service, value = str(one.get("serviceCode") or "bedrock"), one.get("value")
    known = list(_defaults(asked, service).values())
    base = next(
        (
            quota
            for quota in known
            if one.get("quotaCode") == quota["QuotaCode"] or one.get("quotaName") == quota["QuotaName"]
        ),
        None,
    )
    code = one.get("quotaCode") or (base or {}).get("QuotaCode")
    name = one.get("quotaName") or (base or {}).get("QuotaName")
    number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if not number or not code or not name:
        message = "A quota needs a value of at least 0, and its name and code where the sandbox knows none."
        raise Refused("ValidationException", 400, message)
    return _entry(asked, service, str(code), str(name), float(value or 0))


OPERATIONS = (
    Operation("service-quotas", "GetServiceQuota", get_service_quota),
    Operation("service-quotas", "ListServiceQuotas", list_service_quotas),
    Operation("service-quotas", "GetAWSDefaultServiceQuota", get_default),
    Operation("service-quotas", "ListAWSDefaultServiceQuotas", list_defaults),
)
PAGES = (Page("service-quotas: set what an account has", "PUT", "/isthmus/service-quotas", put_quotas),)
