"""Amazon Bedrock's foundation models and provisioned throughput, which moto lacks.

The models of a region are those that `isthmus.contracts.reference.inference_profiles` uses there, so that none is
made up. `PUT /isthmus/bedrock/models` adds others. Names and abilities that the table lacks are omitted.
"""

from __future__ import annotations

import datetime
from typing import Any

from isthmus.contracts.reference import inference_profiles
from sandbox.aws.beside.bedrock_state import STATE, Entry, arn, new_id, not_found, paginate, start_tags
from sandbox.aws.beside.naming import now
from sandbox.aws.pages import Page, PageRequest
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

_DAYS = {"OneMonth": 30, "SixMonths": 180}
"""Length of a commitment in days (not verified)."""


def regional_models(request: ServiceRequest) -> list[str]:
    """Return the sorted ids of the models in the request's region."""
    known_models = {
        inference_profiles.model_of(row.profile)
        for row in inference_profiles.rows()
        if request.region in (row.source_region, *row.destination_regions)
    }
    return sorted({*known_models, *STATE.of(request).models})


def model_arn(region: str, id: str) -> str:
    return f"arn:{partition(region)[0]}:bedrock:{region}::foundation-model/{id}"


def _details(request: ServiceRequest, id: str) -> Entry:
    details = {
        "modelArn": model_arn(request.region, id),
        "modelId": id,
        "providerName": id.split(".", 1)[0].capitalize(),
        "modelName": id,
        "modelLifecycle": {"status": "ACTIVE"},
    }
    return details | STATE.of(request).models.get(id, {})


def find_model(request: ServiceRequest, identifier: str) -> str:
    """Return the id of a model of the region, given by id or ARN. Raises `Refused` if it does not exist."""
    id = identifier.rsplit("/", 1)[-1]
    if id not in regional_models(request) or (
        identifier.startswith("arn:") and identifier != model_arn(request.region, id)
    ):
        raise Refused("ValidationException", 400, "The provided model identifier is invalid.")
    return id


def get_foundation_model(request: ServiceRequest) -> Entry:
    try:
        id = find_model(request, request.params["modelIdentifier"])
    except Refused:
        raise not_found(
            "Could not resolve the foundation model from the provided model identifier."
        ) from None
    return {"modelDetails": _details(request, id)}


def list_foundation_models(request: ServiceRequest) -> Entry:
    provider = (request.params.get("byProvider") or "").lower()
    models = [_details(request, id) for id in regional_models(request)]
    return {
        "modelSummaries": [
            model for model in models if not provider or model["providerName"].lower() == provider
        ]
    }


def put_models(page_request: PageRequest) -> tuple[int, Any]:
    """Add models to a region. The body is `{"region": …, "models": [{"modelId": …, "modelName"?, …}], "account"?}`."""
    body = page_request.json()
    models = body.get("models") if isinstance(body, dict) else None
    region = body.get("region") if isinstance(body, dict) else None
    is_valid = isinstance(models, list) and all(
        isinstance(model, dict) and model.get("modelId") for model in models
    )
    if not is_valid or not isinstance(region, str):
        message = 'The body must be {"region": "…", "models": [{"modelId": "…"}]}.'
        raise Refused("ValidationException", 400, message)
    request = ServiceRequest({}, region, page_request.named_account())
    STATE.of(request).models.update({model["modelId"]: model for model in models or []})
    return 200, {"models": regional_models(request)}


# -- provisioned throughput


def create_provisioned(request: ServiceRequest) -> Entry:
    params, state = request.params, STATE.of(request)
    model = model_arn(request.region, find_model(request, params["modelId"]))
    if any(
        provisioned["provisionedModelName"] == params["provisionedModelName"]
        for provisioned in state.provisioned.values()
    ):
        raise Refused("ValidationException", 400, "The provisioned model name is already in use.")
    id = new_id()
    entry = {
        "provisionedModelArn": arn(request, "provisioned-model", id),
        "provisionedModelName": params["provisionedModelName"],
        "modelUnits": params["modelUnits"],
        "desiredModelUnits": params["modelUnits"],
        "modelArn": model,
        "desiredModelArn": model,
        "foundationModelArn": model,
        "status": "InService",
        "creationTime": now(),
        "lastModifiedTime": now(),
    }
    if "commitmentDuration" in params:
        days = datetime.timedelta(days=_DAYS[params["commitmentDuration"]])
        entry["commitmentDuration"] = params["commitmentDuration"]
        entry["commitmentExpirationTime"] = now() + days
    state.provisioned[id] = entry
    start_tags(request, entry["provisionedModelArn"])
    return {"provisionedModelArn": entry["provisionedModelArn"]}


def _find_provisioned(request: ServiceRequest) -> tuple[str, Entry]:
    identifier = request.params["provisionedModelId"]
    for id, entry in STATE.of(request).provisioned.items():
        if identifier in (id, entry["provisionedModelArn"], entry["provisionedModelName"]):
            return id, entry
    raise not_found("The provided provisioned model identifier is invalid.")


def get_provisioned(request: ServiceRequest) -> Entry:
    return _find_provisioned(request)[1]


def update_provisioned(request: ServiceRequest) -> Entry:
    _, entry = _find_provisioned(request)
    if "desiredProvisionedModelName" in request.params:
        entry["provisionedModelName"] = request.params["desiredProvisionedModelName"]
    if "desiredModelId" in request.params:
        model = model_arn(request.region, find_model(request, request.params["desiredModelId"]))
        entry.update(modelArn=model, desiredModelArn=model)
    entry["lastModifiedTime"] = now()
    return {}


def delete_provisioned(request: ServiceRequest) -> Entry:
    """Raise `Refused` while a commitment runs: it must be paid until its end (Bedrock user guide)."""
    id, entry = _find_provisioned(request)
    if entry.get("commitmentExpirationTime", now()) > now():
        end = entry["commitmentExpirationTime"].date().isoformat()
        message = f"Provisioned throughput with a commitment cannot be deleted before {end}."
        raise Refused("ConflictException", 400, message)
    state = STATE.of(request)
    del state.provisioned[id]
    state.tags.pop(entry["provisionedModelArn"], None)
    return {}


def list_provisioned(request: ServiceRequest) -> Entry:
    return paginate(request, "provisionedModelSummaries", list(STATE.of(request).provisioned.values()))


OPERATIONS = (
    Operation("bedrock", "GetFoundationModel", get_foundation_model),
    Operation("bedrock", "ListFoundationModels", list_foundation_models),
    Operation("bedrock", "CreateProvisionedModelThroughput", create_provisioned),
    Operation("bedrock", "GetProvisionedModelThroughput", get_provisioned),
    Operation("bedrock", "UpdateProvisionedModelThroughput", update_provisioned),
    Operation("bedrock", "DeleteProvisionedModelThroughput", delete_provisioned),
    Operation("bedrock", "ListProvisionedModelThroughputs", list_provisioned),
)
PAGES = (Page("bedrock: add foundation models to a region", "PUT", "/isthmus/bedrock/models", put_models),)
