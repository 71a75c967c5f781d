"""Flow logs: moto looks for a log group that is named by its ARN under no name, so that none is ever found.

It also refuses a second flow log to the same place whatever else differs; AWS refuses one of the same
configuration (as of knowledge, not checked).
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.beside.ec2_shared import backend, named, operation
from sandbox.aws.service_frame import Asked, Refused

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
"""AWS's version 2, written where no format is asked for."""


def create_flow_logs(asked: Asked) -> dict[str, Any]:
    """Raises `Refused` for a place or a role that is missing, as AWS does before it makes anything."""
    from moto.ec2.models.flow_logs import FlowLogs
    from moto.ec2.utils import random_flow_log_id

    ec2, params = backend(asked), asked.params
    place, role = params.get("LogDestination"), params.get("DeliverLogsPermissionArn")
    to = params.get("LogDestinationType") or "cloud-watch-logs"
    interval = params.get("MaxAggregationInterval") or 600
    if not place and not params.get("LogGroupName"):
        raise Refused(
            "InvalidParameter", 400, "LogDestination can't be empty if LogGroupName is not provided."
        )
    if to == "cloud-watch-logs" and not role:
        message = "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs."
        raise Refused("InvalidParameter", 400, message)
    if interval not in (60, 600):
        message = "Invalid Flow Log Max Aggregation Interval: it is 60 or 600 seconds."
        raise Refused("InvalidParameter", 400, message)
    name = params.get("LogGroupName") or (_group(place) if to == "cloud-watch-logs" else None)
    reachable = to != "cloud-watch-logs" or (_has_group(asked, name) and _has_role(asked, role))
    made = []
    for id in params["ResourceIds"]:
        _check(ec2, params["ResourceType"], id)
        log: Any = FlowLogs(
            ec2,
            random_flow_log_id(),
            id,
            params.get("TrafficType"),
            place,
            name,
            role,
            interval,
            to,
            params.get("LogFormat") or DEFAULT_FORMAT,
            "SUCCESS" if reachable else "FAILED",
            None if reachable else "Access error",
        )
        if any(_same(log, other) for other in ec2.flow_logs.values()):
            message = "Error. There is an existing Flow Log with the same configuration and log destination."
            raise Refused("FlowLogAlreadyExists", 400, message)
        log.add_tags(named(asked, "vpc-flow-log"))
        made.append(log)
    ec2.flow_logs.update({log.id: log for log in made})
    return {"FlowLogIds": [log.id for log in made], "Unsuccessful": []}


def _group(arn: str | None) -> str:
    """The log group's name in its ARN, `arn:aws:logs:region:account:log-group:NAME`."""
    return str(arn).split(":log-group:", 1)[-1].removesuffix(":*")


def _has_group(asked: Asked, name: str | None) -> bool:
    from moto.logs.models import logs_backends

    return name in logs_backends[asked.account][asked.region].groups


def _has_role(asked: Asked, arn: str | None) -> bool:
    """IAM is global: moto keeps it by partition, which is the second part of an ARN."""
    from moto.iam.models import iam_backends

    partition = str(arn).split(":")[1] if str(arn).startswith("arn:") else "aws"
    return any(role.arn == arn for role in iam_backends[asked.account][partition].roles.values())


def _check(ec2: Any, kind: str, id: str) -> None:
    find = {"VPC": ec2.get_vpc, "Subnet": ec2.get_subnet, "NetworkInterface": ec2.get_network_interface}
    if kind in find:
        find[kind](id)


def _same(left: Any, right: Any) -> bool:
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
