"""Whether an account may call a foundation model of Amazon Bedrock, which moto does not know.

**The account may call every model that its region has, its terms agreed to**, until `PUT /isthmus/bedrock/access`
says otherwise: a new account of AWS's has agreed to no third party's. Nothing here refuses a call by it, since
no model is served.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.beside.bedrock_models import find_model
from sandbox.aws.beside.bedrock_state import HELD, Entry, not_found
from sandbox.aws.pages import Got, Page
from sandbox.aws.service_frame import Asked, Operation, Refused

_FIELDS = {
    "agreement": ("AVAILABLE", "PENDING", "NOT_AVAILABLE", "ERROR"),
    "authorization": ("AUTHORIZED", "NOT_AUTHORIZED"),
    "entitlement": ("AVAILABLE", "NOT_AVAILABLE"),
    "region": ("AVAILABLE", "NOT_AVAILABLE"),
}
"""What can be set of a model, and to what (botocore's model of the service); the first is what holds unless set."""


def get_availability(asked: Asked) -> Entry:
    try:
        id = find_model(asked, asked.params["modelId"])
    except Refused:
        raise not_found("The provided model identifier was not found.") from None
    held = {name: values[0] for name, values in _FIELDS.items()} | HELD.of(asked).access.get(id, {})
    agreement = {"status": held["agreement"]}
    if held["agreement"] == "ERROR":
        agreement["errorMessage"] = "The agreement could not be made."
    return {
        "modelId": id,
        "agreementAvailability": agreement,
        "authorizationStatus": held["authorization"],
        "entitlementAvailability": held["entitlement"],
        "regionAvailability": held["region"],
    }


def put_access(got: Got) -> tuple[int, Any]:
    """`{"region": …, "modelId": …, "access": {"agreement"?: …, "authorization"?: …, …}, "account"?}`."""
    body = got.json()
    given = body if isinstance(body, dict) else {}
    region, id, access = given.get("region"), given.get("modelId"), given.get("access")
    fits = isinstance(access, dict) and all(value in _FIELDS.get(name, ()) for name, value in access.items())
    if not fits or not isinstance(region, str) or not isinstance(id, str):
        names = ", ".join(f"{name} ({'|'.join(values)})" for name, values in _FIELDS.items())
        wanted = f'The body must be {{"region": "…", "modelId": "…", "access": {{…}}}}, access of: {names}.'
        raise Refused("ValidationException", 400, wanted)
    asked = Asked({"modelId": id}, region, got.meant())
    find_model(asked, id)
    HELD.of(asked).access.setdefault(id, {}).update(access or {})
    return 200, get_availability(asked)


OPERATIONS = (Operation("bedrock", "GetFoundationModelAvailability", get_availability),)
PAGES = (Page("bedrock: set what an account may call", "PUT", "/isthmus/bedrock/access", put_access),)
