"""Amazon CloudWatch Logs: metric filters, of which moto makes a second one where AWS changes the first.

The filters are moto's own, so what is set here is what moto's answers show.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Asked, Operation, Refused


def _logs(asked: Asked) -> Any:
    from moto.logs.models import logs_backends

    backend = logs_backends[asked.account][asked.region]
    if asked.params["logGroupName"] not in backend.groups:
        raise Refused("ResourceNotFoundException", 400, "The specified log group does not exist.")
    return backend


def put_metric_filter(asked: Asked) -> dict[str, Any]:
    """One filter for each name in a log group."""
    params, backend = asked.params, _logs(asked)
    if len(params["metricTransformations"]) != 1:
        raise Refused("InvalidParameterException", 400, "A metric filter has one metric transformation.")
    backend.filters.delete_filter(params["filterName"], params["logGroupName"])
    backend.put_metric_filter(
        params["filterName"], params["filterPattern"], params["logGroupName"], params["metricTransformations"]
    )
    return {}


def delete_metric_filter(asked: Asked) -> dict[str, Any]:
    params, backend = asked.params, _logs(asked)
    names = [(each["filterName"], each["logGroupName"]) for each in backend.filters.metric_filters]
    if (params["filterName"], params["logGroupName"]) not in names:
        raise Refused("ResourceNotFoundException", 400, "The specified metric filter does not exist.")
    backend.filters.delete_filter(params["filterName"], params["logGroupName"])
    return {}


OPERATIONS = (
    Operation("logs", "PutMetricFilter", put_metric_filter),
    Operation("logs", "DeleteMetricFilter", delete_metric_filter),
)
