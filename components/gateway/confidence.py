"""Confidence scores of a gateway's answers: calibration files and their mounts."""

import hashlib
from typing import Any, NotRequired, TypedDict

import pulumi

from components.cluster.objects import metadata
from isthmus.core.errors import InputError

_FOLDER = "/etc/isthmus/calibrations"


class GatewayReview(TypedDict):
    """Which answers of a workload people review, in addition to those that class and impact require."""

    domain: str
    """Who reviews: a team or a field of knowledge."""
    below_confidence: NotRequired[float]
    """Answers with a lower score are marked; at impact material they are held, and so are answers without a score."""
    on_low_score: NotRequired[str]
    """`hold`: at any impact they are held."""
    sample_rate: NotRequired[float]
    """Share of the answers that people look at after delivery, 0 to 1."""


class GatewayCalibration(TypedDict):
    """A file of `isthmus calibrate`."""

    name: str
    """Name of the calibration, unique within the workload."""
    digest: str
    """Digest of the file, `sha256:` and 64 hex digits. Records name it with each score."""
    text: str
    """Content of the file."""


class GatewayConfidence(TypedDict):
    """The calibrations that give a workload's answers a score."""

    domain: str
    """Domain of the workload's questions. Calibrations of other domains are not used."""
    calibrations: list[GatewayCalibration]
    """One for each model's weights and kind of answer."""


class Calibrations:
    """What a gateway with calibrations needs: files, mounts and sections of its configuration."""

    def __init__(
        self,
        name: str,
        service: str,
        namespace: str,
        labels: dict[str, str],
        routes: list[dict[str, Any]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """`routes`: as `GatewayRoute`. Raises `InputError` for a text that does not match its digest."""
        files: dict[str, str] = {}
        self.routes: list[dict[str, Any]] = []
        """The routes, with paths of calibration files instead of their texts."""
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
    """Path of a calibration file. `files` is indexed by names with the digest, so workloads with the same file
    share it.
    """
    text = calibration["text"]
    where = f"routes.{route['workload']}.calibrations.{calibration['name']}"
    digest_hex = hashlib.sha256(text.encode()).hexdigest()
    if f"sha256:{digest_hex}" != calibration["digest"]:
        fix = f"Use the text with that digest, or set digest to sha256:{digest_hex}"
        raise InputError("the calibration's text does not match its digest", where=where, fix=fix)
    file = f"{calibration['name']}-{digest_hex[:16]}.json"
    files[file] = text
    return f"{_FOLDER}/{file}"
