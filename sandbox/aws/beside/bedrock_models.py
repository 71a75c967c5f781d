"""Amazon Bedrock's foundation models and bought throughput, of which moto has none.

The models of a region are those that `isthmus.contracts.reference.inference_profiles` calls or routes to there, so that
no model is made up; `PUT /isthmus/bedrock/models` adds others, as an account elsewhere may have them. Names
and abilities that the table does not state are left away.
"""

from __future__ import annotations

import datetime
from typing import Any

from isthmus.contracts.reference import inference_profiles
from sandbox.aws.beside.bedrock_state import HELD, Entry, arn, new_id, not_found, page, tagged
from sandbox.aws.beside.naming import now
from sandbox.aws.pages import Got, Page
from sandbox.aws.resources import partition
from sandbox.aws.service_frame import Asked, Operation, Refused

_DAYS = {"OneMonth": 30, "SixMonths": 180}
"""Length of a commitment in days (as of knowledge, not checked)."""


def here(asked: Asked) -> list[str]:
    """Ids of the models of the request's region, sorted."""
    known = {
        inference_profiles.model_of(row.profile)
        for row in inference_profiles.rows()
        if asked.region in (row.source_region, *row.destination_regions)
    }
    return sorted({*known, *HELD.of(asked).models})


def model_arn(region: str, id: str) -> str:
    return f"arn:{partition(region)[0]}:bedrock:{region}::foundation-model/{id}"


def _details(asked: Asked, id: str) -> Entry:
    made = {
        "modelArn": model_arn(asked.region, id),
        "modelId": id,
        "providerName": id.split(".", 1)[0].capitalize(),
        "modelName": id,
        "modelLifecycle": {"status": "ACTIVE"},
    }
    return made | HELD.of(asked).models.get(id, {})


def find_model(asked: Asked, identifier: str) -> str:
    """The id in an id or ARN of a model of the region. Raises `Refused` for one that is not there."""
    id = identifier.rsplit("/", 1)[-1]
    if id not in here(asked) or (identifier.startswith("arn:") and identifier != model_arn(asked.region, id)):
        raise Refused("ValidationException", 400, "The provided model identifier is invalid.")
    return id


def get_foundation_model(asked: Asked) -> Entry:
    try:
        id = find_model(asked, asked.params["modelIdentifier"])
    except Refused:
        raise not_found(
            "Could not resolve the foundation model from the provided model identifier."
        ) from None
    return {"modelDetails": _details(asked, id)}


def list_foundation_models(asked: Asked) -> Entry:
    wanted = (asked.params.get("byProvider") or "").lower()
    found = [_details(asked, id) for id in here(asked)]
    return {"modelSummaries": [one for one in found if not wanted or one["providerName"].lower() == wanted]}


def put_models(got: Got) -> tuple[int, Any]:
    """`{"region": …, "models": [{"modelId": …, "modelName"?, …}], "account"?}`: models that the region has besides."""
    body = got.json()
    models = body.get("models") if isinstance(body, dict) else None
    region = body.get("region") if isinstance(body, dict) else None
    fits = isinstance(models, list) and all(isinstance(one, dict) and one.get("modelId") for one in models)
    if not fits or not isinstance(region, str):
        wanted = 'The body must be {"region": "…", "models": [{"modelId": "…"}]}.'
        raise Refused("ValidationException", 400, wanted)
    asked = Asked({}, region, got.meant())
    HELD.of(asked).models.update({one["modelId"]: one for one in models or []})
    return 200, {"models": here(asked)}


# -- provisioned throughput


def create_provisioned(asked: Asked) -> Entry:
    given, held = asked.params, HELD.of(asked)
    model = model_arn(asked.region, find_model(asked, given["modelId"]))
    if any(one["provisionedModelName"] == given["provisionedModelName"] for one in held.provisioned.values()):
        raise Refused("ValidationException", 400, "The provisioned model name is already in use.")
    id = new_id()
    entry = {
        "provisionedModelArn": arn(asked, "provisioned-model", id),
        "provisionedModelName": given["provisionedModelName"],
        "modelUnits": given["modelUnits"],
        "desiredModelUnits": given["modelUnits"],
        "modelArn": model,
        "desiredModelArn": model,
        "foundationModelArn": model,
        "status": "InService",
        "creationTime": now(),
        "lastModifiedTime": now(),
    }
    if "commitmentDuration" in given:
        days = datetime.timedelta(days=_DAYS[given["commitmentDuration"]])
        entry["commitmentDuration"] = given["commitmentDuration"]
        entry["commitmentExpirationTime"] = now() + days
    held.provisioned[id] = entry
    tagged(asked, entry["provisionedModelArn"])
    return {"provisionedModelArn": entry["provisionedModelArn"]}


def _provisioned(asked: Asked) -> tuple[str, Entry]:
    wanted = asked.params["provisionedModelId"]
    for id, entry in HELD.of(asked).provisioned.items():
        if wanted in (id, entry["provisionedModelArn"], entry["provisionedModelName"]):
            return id, entry
    raise not_found("The provided provisioned model identifier is invalid.")


def get_provisioned(asked: Asked) -> Entry:
    return _provisioned(asked)[1]


def update_provisioned(asked: Asked) -> Entry:
    _, entry = _provisioned(asked)
    if "desiredProvisionedModelName" in asked.params:
        entry["provisionedModelName"] = asked.params["desiredProvisionedModelName"]
    if "desiredModelId" in asked.params:
        model = model_arn(asked.region, find_model(asked, asked.params["desiredModelId"]))
        entry.update(modelArn=model, desiredModelArn=model)
    entry["lastModifiedTime"] = now()
    return {}


def delete_provisioned(asked: Asked) -> Entry:
    """Raises `Refused` while a commitment runs: it is paid for until its end (Bedrock user guide)."""
    id, entry = _provisioned(asked)
    if entry.get("commitmentExpirationTime", now()) > now():
        end = entry["commitmentExpirationTime"].date().isoformat()
        message = f"Provisioned throughput with a commitment cannot be deleted before {end}."
        raise Refused("ConflictException", 400, message)
    held = HELD.of(asked)
    del held.provisioned[id]
    held.tags.pop(entry["provisionedModelArn"], None)
    return {}


def list_provisioned(asked: Asked) -> Entry:
    return page(asked, "provisionedModelSummaries", list(HELD.of(asked).provisioned.values()))


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
