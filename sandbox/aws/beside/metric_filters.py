"""Amazon CloudWatch Logs: metric filters. moto adds a second filter where AWS changes the existing one.

The filters are moto's objects, so moto's answers show the changes.
"""

from __future__ import annotations

from typing import Any

from sandbox.aws.service_frame import Operation, Refused, ServiceRequest


def _find_backend(request: ServiceRequest) -> Any:
    from moto.logs.models import logs_backends

    backend = logs_backends[request.account][request.region]
    if request.params["logGroupName"] not in backend.groups:
        raise Refused("ResourceNotFoundException", 400, "The specified log group does not exist.")
    return backend


def put_metric_filter(request: ServiceRequest) -> dict[str, Any]:
    """Create or replace the filter with this name in a log group."""
    params, backend = request.params, _find_backend(request)
    if len(params["metricTransformations"]) != 1:
        raise Refused("InvalidParameterException", 400, "A metric filter has one metric transformation.")
    backend.filters.delete_filter(params["filterName"], params["logGroupName"])
    backend.put_metric_filter(
        params["filterName"], params["filterPattern"], params["logGroupName"], params["metricTransformations"]
    )
    return {}


def delete_metric_filter(request: ServiceRequest) -> dict[str, Any]:
    params, backend = request.params, _find_backend(request)
    names = [
        (metric_filter["filterName"], metric_filter["logGroupName"])
        for metric_filter in backend.filters.metric_filters
    ]
    if (params["filterName"], params["logGroupName"]) not in names:
        raise Refused("ResourceNotFoundException", 400, "The specified metric filter does not exist.")
    backend.filters.delete_filter(params["filterName"], params["logGroupName"])
    return {}


OPERATIONS = (
    Operation("logs", "PutMetricFilter", put_metric_filter),
    Operation("logs", "DeleteMetricFilter", delete_metric_filter),
)
