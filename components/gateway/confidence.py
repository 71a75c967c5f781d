"""Confidence scores of a gateway's answers: calibration files and their mounts."""

import hashlib
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import metadata
from isthmus.core.errors import InputError

_FOLDER = "/etc/isthmus/calibrations"


class GatewayReview(TypedDict):
    """Which of a workload's answers people look at, beside those that class or impact demands."""

    domain: str
    """Who reviews: a team or a field of knowledge."""
    below_confidence: NotRequired[float]
    """Answers with a lower score, or with none, are held."""
    sample_rate: NotRequired[float]
    """Of all the others so many."""


class GatewayCalibration(TypedDict):
    """A file of `isthmus calibrate`."""

    name: str
    """By which it is told from the workload's others."""
    digest: str
    """Of the file, `sha256:` and 64 digits; records name it with each score."""
    text: str
    """What is in it."""


class GatewayConfidence(TypedDict):
    """By which calibrations a workload's answers get a score."""

    domain: str
    """Of its questions: a calibration of another is not used."""
    calibrations: list[GatewayCalibration]
    """One for each model's weights and kind of answer."""


class Calibrations:
    """What a gateway with calibrations has beside one without."""

    def __init__(
        self,
        name: str,
        service: str,
        namespace: str,
        labels: dict[str, str],
        routes: list[dict[str, Any]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`routes`: as `GatewayRoute`. Raises `InputError` for a text that is not of its digest."""
        files: dict[str, str] = {}
        self.routes: list[dict[str, Any]] = []
        """The same, each with the paths of its calibrations in place of their texts."""
        for route in routes:
            settings = route.get("confidence")
            if settings is not None:
                files_by_calibration = [
                    _file(calibration, files, route) for calibration in settings["calibrations"]
                ]
                digests = sorted({calibration["digest"] for calibration in settings["calibrations"]})
                confidence = {
                    "domain": settings["domain"],
                    "calibrations": files_by_calibration,
                    "digests": digests,
                }
                route = {**route, "confidence": confidence}
            self.routes.append(route)
        self.dependencies: list[pulumi.Resource] = []
        self.mounts: list[dict[str, Any]] = []
        self.volumes: list[dict[str, Any]] = []
        if not files:
            return
        from pulumi_kubernetes.core.v1 import ConfigMap

        digest = hashlib.sha256("".join(sorted(files)).encode()).hexdigest()[:10]
        map_name = f"{service}-calibrations-{digest}"
        self.dependencies.append(
            ConfigMap(
                f"{name}-calibrations",
                metadata=metadata(map_name, labels, namespace=namespace),
                data=dict(sorted(files.items())),
                immutable=True,
                opts=opts,
            )
        )
        self.mounts.append({"name": "calibrations", "mountPath": _FOLDER, "readOnly": True})
        self.volumes.append({"name": "calibrations", "configMap": {"name": map_name, "defaultMode": 0o440}})


def _file(calibration: GatewayCalibration, files: dict[str, str], route: dict[str, Any]) -> str:
    """Where it is mounted; `files` by name, which holds the digest: workloads that share one share the file."""
    text = calibration["text"]
    where = f"routes.{route['workload']}.calibrations.{calibration['name']}"
    digest_hex = hashlib.sha256(text.encode()).hexdigest()
    if f"sha256:{digest_hex}" != calibration["digest"]:
        fix = f"Use the text with that digest, or set digest to sha256:{digest_hex}"
        raise InputError("the calibration's text does not match its digest", where=where, fix=fix)
    file = f"{calibration['name']}-{digest_hex[:16]}.json"
    files[file] = text
    return f"{_FOLDER}/{file}"
