"""AWS CloudTrail: what moto accepts and AWS refuses, and selectors that replace one another as in AWS.

The trails are moto's own, so what is set here is what moto's answers show. A trail has a home region, the
one that it was made in; everywhere else it is only seen, and changes are refused. No event is recorded.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Asked, Operation, Refused

DEFAULT_SELECTORS = ({"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []},)
"""What a trail has to which nobody gave any (API reference, PutEventSelectors)."""
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
"""Of an advanced selector (API reference, AdvancedFieldSelector; of knowledge)."""


def _trails(asked: Asked) -> Any:
    from moto.cloudtrail.models import cloudtrail_backends

    return cloudtrail_backends[asked.account]


def _trail(asked: Asked, name: str) -> Any:
    """By name or ARN, where it is at home."""
    for trail in _trails(asked)[asked.region].trails.values():
        if name in (trail.trail_name, trail.arn):
            return trail
    for backend in _trails(asked).values():
        for trail in backend.trails.values():
            if name == trail.arn or (name == trail.trail_name and trail.is_multi_region):
                text = f"Cannot change the trail {name} outside its home region, {trail.region_name}."
                raise Refused("InvalidHomeRegionException", 400, text)
    raise Refused("TrailNotFoundException", 400, f"Unknown trail: {name} for the user: {asked.account}")


def _check(asked: Asked, values: dict[str, Any]) -> None:
    """What AWS asks of a trail whose settings are all of these."""
    if values.get("IsMultiRegionTrail") and values.get("IncludeGlobalServiceEvents") is False:
        text = "Multi-Region trail must include global service events."
        raise Refused("InvalidParameterCombinationException", 400, text)
    group, role = values.get("CloudWatchLogsLogGroupArn"), values.get("CloudWatchLogsRoleArn")
    if bool(group) != bool(role):
        text = "A log group and the role that writes to it are given together."
        raise Refused("InvalidCloudWatchLogsLogGroupArnException", 400, text)
    if group:
        _check_group(asked, group)


def _check_group(asked: Asked, arn: str) -> None:
    from moto.logs.models import logs_backends

    parts = arn.split(":")
    whole = len(parts) == 8 and parts[5] == "log-group" and parts[7] == "*"
    region = parts[3] if whole else ""
    if not whole or region != asked.region or parts[6] not in logs_backends[asked.account][region].groups:
        text = "CloudTrail cannot validate the specified log group ARN: it must end in `:*` and exist here."
        raise Refused("InvalidCloudWatchLogsLogGroupArnException", 400, text)


def create_trail(asked: Asked) -> dict[str, Any]:
    from moto.core.exceptions import JsonRESTError

    params = dict(asked.params)
    backend = _trails(asked)[asked.region]
    if params["Name"] in backend.trails:
        text = f"Trail {params['Name']} already exists for customer: {asked.account}"
        raise Refused("TrailAlreadyExistsException", 400, text)
    _check(asked, params)
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
    return _described(trail)


def update_trail(asked: Asked) -> dict[str, Any]:
    params = dict(asked.params)
    trail = _trail(asked, params.pop("Name"))
    _check(asked, {**_described(trail), **params})
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
    return _described(trail)


def _described(trail: Any) -> dict[str, Any]:
    """moto's description, of what CreateTrail and UpdateTrail answer with, without what is not set."""
    told = ("HasCustomEventSelectors", "HasInsightSelectors")
    values = trail.description().items()
    return {name: value for name, value in values if name not in told and value not in (None, "")}


def delete_trail(asked: Asked) -> dict[str, Any]:
    trail = _trail(asked, asked.params["Name"])
    backend = _trails(asked)[asked.region]
    del backend.trails[trail.trail_name]
    backend.tagging_service.delete_all_tags_for_resource(trail.arn)
    return {}


def start_logging(asked: Asked) -> dict[str, Any]:
    _trail(asked, asked.params["Name"]).start_logging()
    return {}


def stop_logging(asked: Asked) -> dict[str, Any]:
    _trail(asked, asked.params["Name"]).stop_logging()
    return {}


def put_event_selectors(asked: Asked) -> dict[str, Any]:
    """Basic or advanced ones; either takes the place of the other."""
    trail = _trail(asked, asked.params["TrailName"])
    basic, advanced = asked.params.get("EventSelectors"), asked.params.get("AdvancedEventSelectors")
    if bool(basic) == bool(advanced):
        text = "Give either event selectors or advanced event selectors."
        raise Refused("InvalidEventSelectorsException", 400, text)
    for selector in advanced or ():
        _check_advanced(selector["FieldSelectors"])
    trail.event_selectors, trail.advanced_event_selectors = list(basic or ()), list(advanced or ())
    given = {"EventSelectors": basic} if basic else {"AdvancedEventSelectors": advanced}
    return {"TrailARN": trail.arn, **given}


def _check_advanced(fields: list[dict[str, Any]]) -> None:
    def refuse(text: str) -> None:
        raise Refused("InvalidEventSelectorsException", 400, text)

    by_name = {each["Field"]: each for each in fields}
    unknown = sorted(set(by_name) - set(_FIELDS))
    if unknown:
        refuse(f"{unknown[0]} is no field of an advanced event selector.")
    if any(len(each) < 2 for each in fields):
        refuse("A field selector wants an operator with a value.")
    category = by_name.get("eventCategory", {}).get("Equals") or []
    if len(category) != 1 or category[0] not in _CATEGORIES:
        refuse(f"eventCategory must equal one of {', '.join(_CATEGORIES)}.")
    kinds = by_name.get("resources.type", {}).get("Equals") or []
    if category == ["Data"] and len(kinds) != 1:
        refuse("A selector of data events must name one resources.type.")
    if category == ["NetworkActivity"] and "eventSource" not in by_name:
        refuse("A selector of network activity must name its eventSource.")


def put_insight_selectors(asked: Asked) -> dict[str, Any]:
    trail = _trail(asked, asked.params.get("TrailName", ""))
    trail.insight_selectors = list(asked.params["InsightSelectors"])
    return {"TrailARN": trail.arn, "InsightSelectors": trail.insight_selectors}


def get_insight_selectors(asked: Asked) -> dict[str, Any]:
    trail = _trail(asked, asked.params.get("TrailName", ""))
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
