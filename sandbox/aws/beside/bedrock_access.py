"""An account's access to foundation models of Amazon Bedrock, which moto lacks.

**By default the account may call every model of its region, and has accepted all terms.** `PUT /isthmus/bedrock/access`
changes that. A new account in AWS has accepted no terms of third parties. Models are not served here, so the setting
does not affect any call.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.beside.bedrock_models import find_model
from sandbox.aws.beside.bedrock_state import STATE, Entry, not_found
from sandbox.aws.pages import Page, PageRequest
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

_FIELDS = {
    "agreement": ("AVAILABLE", "PENDING", "NOT_AVAILABLE", "ERROR"),
    "authorization": ("AUTHORIZED", "NOT_AUTHORIZED"),
    "entitlement": ("AVAILABLE", "NOT_AVAILABLE"),
    "region": ("AVAILABLE", "NOT_AVAILABLE"),
}
"""Settings of a model and their values (from botocore's model of the service). The first value is the default."""


def get_availability(request: ServiceRequest) -> Entry:
    try:
        id = find_model(request, request.params["modelId"])
    except Refused:
        raise not_found("The provided model identifier was not found.") from None
    access = {name: values[0] for name, values in _FIELDS.items()} | STATE.of(request).access.get(id, {})
    agreement = {"status": access["agreement"]}
    if access["agreement"] == "ERROR":
        agreement["errorMessage"] = "The agreement could not be made."
    return {
        "modelId": id,
        "agreementAvailability": agreement,
        "authorizationStatus": access["authorization"],
        "entitlementAvailability": access["entitlement"],
        "regionAvailability": access["region"],
    }


def put_access(page_request: PageRequest) -> tuple[int, Any]:
    """Set an account's access to a model.

    The body is `{"region": …, "modelId": …, "access": {"agreement"?: …, "authorization"?: …, …}, "account"?}`.
    """
    body = page_request.json()
    fields = body if isinstance(body, dict) else {}
    region, id, access = fields.get("region"), fields.get("modelId"), fields.get("access")
    is_valid = isinstance(access, dict) and all(
        value in _FIELDS.get(name, ()) for name, value in access.items()
    )
    if not is_valid or not isinstance(region, str) or not isinstance(id, str):
        names = ", ".join(f"{name} ({'|'.join(values)})" for name, values in _FIELDS.items())
        message = f'The body must be {{"region": "…", "modelId": "…", "access": {{…}}}}, access of: {names}.'
        raise Refused("ValidationException", 400, message)
    request = ServiceRequest({"modelId": id}, region, page_request.named_account())
    find_model(request, id)
    STATE.of(request).access.setdefault(id, {}).update(access or {})
    return 200, get_availability(request)


OPERATIONS = (Operation("bedrock", "GetFoundationModelAvailability", get_availability),)
PAGES = (Page("bedrock: set what an account may call", "PUT", "/isthmus/bedrock/access", put_access),)
