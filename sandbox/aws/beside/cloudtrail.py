"""AWS CloudTrail: AWS's checks, which moto lacks, and event selectors that replace each other as in AWS.

The trails are moto's objects, so moto's answers show the changes. A trail can be changed only in its home region,
where it was created. No event is recorded.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Operation, Refused, ServiceRequest

DEFAULT_SELECTORS = ({"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []},)
"""The default event selectors of a trail (API reference, PutEventSelectors)."""
_CATEGORIES = ("Management", "Data", "NetworkActivity")
_FIELDS = (
    "readOnly",
    "eventSource",
    "eventName",
    "eventCategory",
    "eventType",
    "resources.type",
    "resources.ARN",
    "errorCode",
    "vpcEndpointId",
    "userIdentity.arn",
    "sessionCredentialFromConsole",
)
"""Fields of an advanced event selector (API reference, AdvancedFieldSelector; not verified)."""


def _trails(request: ServiceRequest) -> Any:
    from moto.cloudtrail.models import cloudtrail_backends

    return cloudtrail_backends[request.account]


def _find_trail(request: ServiceRequest, name: str) -> Any:
    """Return a trail by name or ARN. Raises `Refused` outside its home region, or if it does not exist."""
    for trail in _trails(request)[request.region].trails.values():
        if name in (trail.trail_name, trail.arn):
            return trail
    for backend in _trails(request).values():
        for trail in backend.trails.values():
            if name == trail.arn or (name == trail.trail_name and trail.is_multi_region):
                text = f"Cannot change the trail {name} outside its home region, {trail.region_name}."
                raise Refused("InvalidHomeRegionException", 400, text)
    raise Refused("TrailNotFoundException", 400, f"Unknown trail: {name} for the user: {request.account}")


def _check_settings(request: ServiceRequest, values: dict[str, Any]) -> None:
    """Raise `Refused` if AWS would refuse this combination of settings."""
    if values.get("IsMultiRegionTrail") and values.get("IncludeGlobalServiceEvents") is False:
        text = "Multi-Region trail must include global service events."
        raise Refused("InvalidParameterCombinationException", 400, text)
    group, role = values.get("CloudWatchLogsLogGroupArn"), values.get("CloudWatchLogsRoleArn")
    if bool(group) != bool(role):
        text = "A log group and the role that writes to it are given together."
        raise Refused("InvalidCloudWatchLogsLogGroupArnException", 400, text)
    if group:
        _check_group(request, group)


def _check_group(request: ServiceRequest, arn: str) -> None:
    from moto.logs.models import logs_backends

    arn_parts = arn.split(":")
    is_group_arn = len(arn_parts) == 8 and arn_parts[5] == "log-group" and arn_parts[7] == "*"
    region = arn_parts[3] if is_group_arn else ""
    if (
        not is_group_arn
        or region != request.region
        or arn_parts[6] not in logs_backends[request.account][region].groups
    ):
        text = "CloudTrail cannot validate the specified log group ARN: it must end in `:*` and exist here."
        raise Refused("InvalidCloudWatchLogsLogGroupArnException", 400, text)


def create_trail(request: ServiceRequest) -> dict[str, Any]:
    from moto.core.exceptions import JsonRESTError

    params = dict(request.params)
    backend = _trails(request)[request.region]
    if params["Name"] in backend.trails:
        text = f"Trail {params['Name']} already exists for customer: {request.account}"
        raise Refused("TrailAlreadyExistsException", 400, text)
    _check_settings(request, params)
    try:
        trail = backend.create_trail(
            params["Name"],
            params["S3BucketName"],
            params.get("S3KeyPrefix"),
            params.get("SnsTopicName"),
            params.get("IncludeGlobalServiceEvents", True),
            params.get("IsMultiRegionTrail", False),
            params.get("EnableLogFileValidation", False),
            params.get("IsOrganizationTrail", False),
            params.get("CloudWatchLogsLogGroupArn"),
            params.get("CloudWatchLogsRoleArn"),
            params.get("KmsKeyId"),
            params.get("TagsList") or [],
        )
    except JsonRESTError as error:
        raise Refused(error.relative_error_type, 400, error.message) from None
    trail.event_selectors = list(DEFAULT_SELECTORS)
    return _describe(trail)


def update_trail(request: ServiceRequest) -> dict[str, Any]:
    params = dict(request.params)
    trail = _find_trail(request, params.pop("Name"))
    _check_settings(request, {**_describe(trail), **params})
    trail.update(
        params.get("S3BucketName"),
        params.get("S3KeyPrefix"),
        params.get("SnsTopicName"),
        params.get("IncludeGlobalServiceEvents"),
        params.get("IsMultiRegionTrail"),
        params.get("EnableLogFileValidation"),
        params.get("IsOrganizationTrail"),
        params.get("CloudWatchLogsLogGroupArn"),
        params.get("CloudWatchLogsRoleArn"),
        params.get("KmsKeyId"),
    )
    return _describe(trail)


def _describe(trail: Any) -> dict[str, Any]:
    """Return moto's description of a trail, reduced to what CreateTrail and UpdateTrail return."""
    left_out = ("HasCustomEventSelectors", "HasInsightSelectors")
    values = trail.description().items()
    return {name: value for name, value in values if name not in left_out and value not in (None, "")}


def delete_trail(request: ServiceRequest) -> dict[str, Any]:
    trail = _find_trail(request, request.params["Name"])
    backend = _trails(request)[request.region]
    del backend.trails[trail.trail_name]
    backend.tagging_service.delete_all_tags_for_resource(trail.arn)
    return {}


def start_logging(request: ServiceRequest) -> dict[str, Any]:
    _find_trail(request, request.params["Name"]).start_logging()
    return {}


def stop_logging(request: ServiceRequest) -> dict[str, Any]:
    _find_trail(request, request.params["Name"]).stop_logging()
    return {}


def put_event_selectors(request: ServiceRequest) -> dict[str, Any]:
    """Set basic or advanced selectors. They replace the others."""
    trail = _find_trail(request, request.params["TrailName"])
    basic, advanced = request.params.get("EventSelectors"), request.params.get("AdvancedEventSelectors")
    if bool(basic) == bool(advanced):
        text = "Give either event selectors or advanced event selectors."
        raise Refused("InvalidEventSelectorsException", 400, text)
    for selector in advanced or ():
        _check_advanced(selector["FieldSelectors"])
    trail.event_selectors, trail.advanced_event_selectors = list(basic or ()), list(advanced or ())
    selectors = {"EventSelectors": basic} if basic else {"AdvancedEventSelectors": advanced}
    return {"TrailARN": trail.arn, **selectors}


def _check_advanced(fields: list[dict[str, Any]]) -> None:
    def refuse(text: str) -> None:
        raise Refused("InvalidEventSelectorsException", 400, text)

    by_name = {field["Field"]: field for field in fields}
    unknown = sorted(set(by_name) - set(_FIELDS))
    if unknown:
        refuse(f"{unknown[0]} is no field of an advanced event selector.")
    if any(len(field) < 2 for field in fields):
        refuse("A field selector wants an operator with a value.")
    category = by_name.get("eventCategory", {}).get("Equals") or []
    if len(category) != 1 or category[0] not in _CATEGORIES:
        refuse(f"eventCategory must equal one of {', '.join(_CATEGORIES)}.")
    kinds = by_name.get("resources.type", {}).get("Equals") or []
    if category == ["Data"] and len(kinds) != 1:
        refuse("A selector of data events must name one resources.type.")
    if category == ["NetworkActivity"] and "eventSource" not in by_name:
        refuse("A selector of network activity must name its eventSource.")


def put_insight_selectors(request: ServiceRequest) -> dict[str, Any]:
    trail = _find_trail(request, request.params.get("TrailName", ""))
    trail.insight_selectors = list(request.params["InsightSelectors"])
    return {"TrailARN": trail.arn, "InsightSelectors": trail.insight_selectors}


def get_insight_selectors(request: ServiceRequest) -> dict[str, Any]:
    trail = _find_trail(request, request.params.get("TrailName", ""))
    if not trail.insight_selectors:
        raise Refused("InsightNotEnabledException", 400, f"Trail {trail.trail_name} has no Insights enabled.")
    return {"TrailARN": trail.arn, "InsightSelectors": trail.insight_selectors}


OPERATIONS = (
    Operation("cloudtrail", "CreateTrail", create_trail),
    Operation("cloudtrail", "UpdateTrail", update_trail),
    Operation("cloudtrail", "DeleteTrail", delete_trail),
    Operation("cloudtrail", "StartLogging", start_logging),
    Operation("cloudtrail", "StopLogging", stop_logging),
    Operation("cloudtrail", "PutEventSelectors", put_event_selectors),
    Operation("cloudtrail", "PutInsightSelectors", put_insight_selectors),
    Operation("cloudtrail", "GetInsightSelectors", get_insight_selectors),
)
