"""Reads the calibration files that a stack's overrides name, and checks that they fit their workloads.

`isthmus calibrate` writes these files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isthmus.blueprints import named_files
from isthmus.core.errors import InputError, Where


def fill(merged: dict[str, Any], folder: Path, overrides_file: str) -> dict[str, Any]:
    """The merged platform with the text of each calibration.

    Raises `InputError` for a missing file, a file that is not a calibration, and one of another domain than the
    workload's.
    """
    if not any(workload.get("calibrations") for _, workload in _workloads(merged)):
        return merged
    gateways = [
        {
            **gateway,
            "workloads": [
                _with_calibrations(gateway, workload, folder, overrides_file)
                for workload in gateway["workloads"]
            ],
        }
        if isinstance(gateway, dict) and isinstance(gateway.get("workloads"), list)
        else gateway
        for gateway in merged["gateways"]
    ]
    return {**merged, "gateways": gateways}


def calibration_files(overrides: dict[str, Any], folder: Path) -> list[Path]:
    """Paths of the calibration files that overrides name. The files may be missing."""
    return named_files.paths(
        (
            calibration
            for _, workload in _workloads(overrides)
            for calibration in named_files.mappings(workload.get("calibrations"))
        ),
        folder,
    )


def _with_calibrations(gateway: dict[str, Any], workload: Any, folder: Path, overrides_file: str) -> Any:
    if not isinstance(workload, dict) or not isinstance(workload.get("calibrations"), list):
        return workload
    review = workload.get("review")
    domain = review.get("domain") if isinstance(review, dict) else None
    path = f"gateways[{gateway.get('name')}].workloads[{workload.get('name')}].calibrations"
    calibrations = named_files.with_texts(
        workload["calibrations"],
        folder,
        lambda file, where: _read_calibration(file, domain, where),
        overrides_file,
        path,
    )
    return {**workload, "calibrations": calibrations}


def _read_calibration(file: Path, domain: Any, where: Where) -> str:
    text, calibration = "", None
    try:
        text = file.read_bytes().decode("utf-8")
        calibration = json.loads(text)
    except OSError as error:
        fix = "Write the file with `isthmus calibrate ANSWERS -o FILE`"
        raise InputError(f"{file} cannot be read: {error.strerror}", where=where, fix=fix) from None
    except ValueError:
        pass  # The next check reports it.
    if not isinstance(calibration, dict) or calibration.get("isthmus_calibration") != 1:
        raise InputError(
            f"{file} is not a calibration file",
            where=where,
            fix="Set `file` to a file that `isthmus calibrate` wrote",
        )
    if calibration.get("domain") != domain:
        problem = (
            f"{file} was calibrated in domain {calibration.get('domain')!r}, but the workload's is {domain!r}"
        )
        fix = "Set `file` to a calibration of the workload's domain. The gateway uses no other"
        raise InputError(problem, where=where, fix=fix)
    if calibration.get("model_digest") is None:
        problem = f"{file} has no `model_digest`, so no gateway would use it"
        raise InputError(
            problem,
            where=where,
            fix="Add `model_digest` to each line of the judged answers, and run `isthmus calibrate` again",
        )
    return text


def _workloads(tree: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for gateway in named_files.mappings(tree.get("gateways")):
        yield from ((gateway, workload) for workload in named_files.mappings(gateway.get("workloads")))
