"""VPC flow logs.

moto does not find a log group that is given by its ARN. It also refuses every second flow log with the same
destination; AWS refuses only one with the same configuration (not verified).
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.beside.ec2_shared import backend, operation, requested_tags
from sandbox.aws.service_frame import Refused, ServiceRequest

DEFAULT_FORMAT = " ".join(
    f"${{{field}}}"
    for field in (
        "version",
        "account-id",
        "interface-id",
        "srcaddr",
        "dstaddr",
        "srcport",
        "dstport",
        "protocol",
        "packets",
        "bytes",
        "start",
        "end",
        "action",
        "log-status",
    )
)
"""AWS's default format, version 2."""


def create_flow_logs(request: ServiceRequest) -> dict[str, Any]:
    """Create flow logs. Raises `Refused` if the destination or the role is missing, before anything is created."""
    from moto.ec2.models.flow_logs import FlowLogs
    from moto.ec2.utils import random_flow_log_id

    ec2, params = backend(request), request.params
    destination, role = params.get("LogDestination"), params.get("DeliverLogsPermissionArn")
    destination_type = params.get("LogDestinationType") or "cloud-watch-logs"
    interval = params.get("MaxAggregationInterval") or 600
    if not destination and not params.get("LogGroupName"):
        raise Refused(
            "InvalidParameter", 400, "LogDestination can't be empty if LogGroupName is not provided."
        )
    if destination_type == "cloud-watch-logs" and not role:
        message = "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs."
        raise Refused("InvalidParameter", 400, message)
    if interval not in (60, 600):
        message = "Invalid Flow Log Max Aggregation Interval: it is 60 or 600 seconds."
        raise Refused("InvalidParameter", 400, message)
    name = params.get("LogGroupName") or (
        _group_name(destination) if destination_type == "cloud-watch-logs" else None
    )
    reachable = destination_type != "cloud-watch-logs" or (
        _has_group(request, name) and _has_role(request, role)
    )
    logs = []
    for id in params["ResourceIds"]:
        _check_resource(ec2, params["ResourceType"], id)
        log: Any = FlowLogs(
            ec2,
            random_flow_log_id(),
            id,
            params.get("TrafficType"),
            destination,
            name,
            role,
            interval,
            destination_type,
            params.get("LogFormat") or DEFAULT_FORMAT,
            "SUCCESS" if reachable else "FAILED",
            None if reachable else "Access error",
        )
        if any(_is_same_log(log, existing) for existing in ec2.flow_logs.values()):
            message = "Error. There is an existing Flow Log with the same configuration and log destination."
            raise Refused("FlowLogAlreadyExists", 400, message)
        log.add_tags(requested_tags(request, "vpc-flow-log"))
        logs.append(log)
    ec2.flow_logs.update({log.id: log for log in logs})
    return {"FlowLogIds": [log.id for log in logs], "Unsuccessful": []}


def _group_name(arn: str | None) -> str:
    """Return the log group's name from its ARN, `arn:aws:logs:region:account:log-group:NAME`."""
    return str(arn).split(":log-group:", 1)[-1].removesuffix(":*")


def _has_group(request: ServiceRequest, name: str | None) -> bool:
    from moto.logs.models import logs_backends

    return name in logs_backends[request.account][request.region].groups


def _has_role(request: ServiceRequest, arn: str | None) -> bool:
    """Return True if the role exists. moto stores IAM by partition, the second part of an ARN."""
    from moto.iam.models import iam_backends

    partition = str(arn).split(":")[1] if str(arn).startswith("arn:") else "aws"
    return any(role.arn == arn for role in iam_backends[request.account][partition].roles.values())


def _check_resource(ec2: Any, kind: str, id: str) -> None:
    find = {"VPC": ec2.get_vpc, "Subnet": ec2.get_subnet, "NetworkInterface": ec2.get_network_interface}
    if kind in find:
        find[kind](id)


def _is_same_log(left: Any, right: Any) -> bool:
    names = (
        "resource_id",
        "traffic_type",
        "log_destination",
        "log_group_name",
        "log_format",
        "max_aggregation_interval",
        "deliver_logs_permission_arn",
    )
    return all(getattr(left, name) == getattr(right, name) for name in names)


OPERATIONS = (operation("CreateFlowLogs", create_flow_logs),)
