"""Service Quotas of Amazon Bedrock, which moto lacks, and moto's quotas of Amazon VPC.

Names and codes are AWS's (its quota table and public listings of it, read 2026-11-25). **The values are examples**: AWS
sets them by account, region and history. A new account has far lower values, and sources differ by a factor of two.
`PUT /isthmus/service-quotas` sets an account's values until the next reset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sandbox.aws.beside.memory import Memory
from sandbox.aws.beside.naming import arn
from sandbox.aws.pages import Page, PageRequest
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

Quota = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One quota of Bedrock. `other` is the default outside us-east-1, us-east-2 and us-west-2."""

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
class State:
    """Quotas that were set for one account and region, by service and code."""

    set: dict[tuple[str, str], Quota] = field(default_factory=dict)


STATE = Memory(State)


def _quota_entry(request: ServiceRequest, service: str, code: str, name: str, value: float) -> Quota:
    return {
        "ServiceCode": service,
        "ServiceName": "Amazon Bedrock" if service == "bedrock" else service,
        "QuotaArn": arn(request, "servicequotas", f"{service}/{code}"),
        "QuotaCode": code,
        "QuotaName": name,
        "Value": float(value),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


def _defaults(request: ServiceRequest, service: str) -> dict[str, Quota]:
    """Return a service's default quotas by code. Empty for an unknown service."""
    if service == "bedrock":
        large = request.region in _LARGE
        rows = ((row.code, row.name, row.value if large else row.other) for row in _ROWS)
        return {code: _quota_entry(request, service, code, name, value) for code, name, value in rows}
    from moto.servicequotas.resources.default_quotas.vpc import VPC_DEFAULT_QUOTAS

    if service == "vpc":
        return {quota["QuotaCode"]: dict(quota) for quota in VPC_DEFAULT_QUOTAS}
    return {}


def _applied(request: ServiceRequest, service: str) -> dict[str, Quota]:
    set_quotas = {
        code: quota
        for (service_of_quota, code), quota in STATE.of(request).set.items()
        if service_of_quota == service
    }
    applied = _defaults(request, service) | set_quotas
    if not applied:
        raise _not_found()
    return applied


def _not_found() -> Refused:
    message = "The request failed because the specified resource does not exist."
    return Refused("NoSuchResourceException", 400, message)


def _quota_answer(quotas: dict[str, Quota], code: str) -> dict[str, Any]:
    if code not in quotas:
        raise _not_found()
    return {"Quota": quotas[code]}


def get_service_quota(request: ServiceRequest) -> dict[str, Any]:
    return _quota_answer(_applied(request, request.params["ServiceCode"]), request.params["QuotaCode"])


def get_default(request: ServiceRequest) -> dict[str, Any]:
    """Return AWS's default value. For a quota that was only set for the account, return that value."""
    service, code = request.params["ServiceCode"], request.params["QuotaCode"]
    return _quota_answer(_applied(request, service) | _defaults(request, service), code)


def _pages(request: ServiceRequest, quotas: dict[str, Quota]) -> dict[str, Any]:
    listed = [quotas[code] for code in sorted(quotas)]
    start = request.params.get("NextToken") or "0"
    if not start.isdigit():
        raise Refused("InvalidPaginationTokenException", 400, "Invalid input was provided.")
    end = int(start) + int(request.params.get("MaxResults") or 100)
    return {"Quotas": listed[int(start) : end], **({"NextToken": str(end)} if end < len(listed) else {})}


def list_service_quotas(request: ServiceRequest) -> dict[str, Any]:
    return _pages(request, _applied(request, request.params["ServiceCode"]))


def list_defaults(request: ServiceRequest) -> dict[str, Any]:
    quotas = _defaults(request, request.params["ServiceCode"])
    if not quotas:
        raise _not_found()
    return _pages(request, quotas)


def put_quotas(page_request: PageRequest) -> tuple[int, Any]:
    """Set an account's quotas.

    The body is `{"region": …, "quotas": [{"quotaName" or "quotaCode": …, "value": …, "serviceCode"?}], "account"?}`.
    For a known quota of Bedrock, name or code is enough. Other quotas need both.
    """
    body = page_request.json()
    entries = body.get("quotas") if isinstance(body, dict) else None
    region = body.get("region") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not isinstance(region, str):
        message = 'The body must be {"region": "…", "quotas": [{"quotaName": "…", "value": 0}]}.'
        raise Refused("ValidationException", 400, message)
    request = ServiceRequest({}, region, page_request.named_account())
    new_quotas: dict[tuple[str, str], Quota] = {}
    for quota_given in entries:
        quota = _build_quota(request, quota_given if isinstance(quota_given, dict) else {})
        new_quotas[(quota["ServiceCode"], quota["QuotaCode"])] = quota
    STATE.of(request).set |= new_quotas
    return 200, {"quotas": list(new_quotas.values())}


def _build_quota(request: ServiceRequest, quota_given: dict[str, Any]) -> Quota:
    service, value = str(quota_given.get("serviceCode") or "bedrock"), quota_given.get("value")
    defaults = list(_defaults(request, service).values())
    base = next(
        (
            quota
            for quota in defaults
            if quota_given.get("quotaCode") == quota["QuotaCode"]
            or quota_given.get("quotaName") == quota["QuotaName"]
        ),
        None,
    )
    code = quota_given.get("quotaCode") or (base or {}).get("QuotaCode")
    name = quota_given.get("quotaName") or (base or {}).get("QuotaName")
    is_valid_value = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if not is_valid_value or not code or not name:
        message = "A quota needs a value of at least 0, and its name and code where the sandbox knows none."
        raise Refused("ValidationException", 400, message)
    return _quota_entry(request, service, str(code), str(name), float(value or 0))


OPERATIONS = (
    Operation("service-quotas", "GetServiceQuota", get_service_quota),
    Operation("service-quotas", "ListServiceQuotas", list_service_quotas),
    Operation("service-quotas", "GetAWSDefaultServiceQuota", get_default),
    Operation("service-quotas", "ListAWSDefaultServiceQuotas", list_defaults),
)
PAGES = (Page("service-quotas: set what an account has", "PUT", "/isthmus/service-quotas", put_quotas),)
