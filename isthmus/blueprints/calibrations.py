"""The files of `isthmus calibrate` that a stack's overrides name: read from beside its others, and held to what they
say of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isthmus.core.errors import InputError, Where


def fill(merged: dict[str, Any], folder: Path, said_in: str) -> dict[str, Any]:
    """A merged platform with the text of each calibration in it. Raises `InputError` for a file that is not there, that
    is no calibration, or one of another domain than its workload's."""
    if not any(each.get("calibrations") for _, each in _workloads(merged)):
        return merged
    gateways = [
        {**gateway, "workloads": [_filled(gateway, each, folder, said_in) for each in gateway["workloads"]]}
        if isinstance(gateway, dict) and isinstance(gateway.get("workloads"), list)
        else gateway
        for gateway in merged["gateways"]
    ]
    return {**merged, "gateways": gateways}


def named(overrides: dict[str, Any], folder: Path) -> list[Path]:
    """The files, whether they are there or not."""
    files = [one.get("file") for _, each in _workloads(overrides) for one in _dicts(each.get("calibrations"))]
    return [folder / file for file in files if isinstance(file, str)]


def _filled(gateway: dict[str, Any], workload: Any, folder: Path, said_in: str) -> Any:
    if not isinstance(workload, dict) or not isinstance(workload.get("calibrations"), list):
        return workload
    review = workload.get("review")
    domain = review.get("domain") if isinstance(review, dict) else None
    path = f"gateways[{gateway.get('name')}].workloads[{workload.get('name')}].calibrations"
    return {
        **workload,
        "calibrations": [
            {
                **each,
                "text": _read(
                    folder / each["file"], domain, Where(said_in, None, f"{path}[{each.get('name')}]")
                ),
            }
            # What is no part at all is left for validation to name.
            if isinstance(each, dict) and isinstance(each.get("file"), str)
            else each
            for each in workload["calibrations"]
        ],
    }


def _read(file: Path, domain: Any, where: Where) -> str:
    text, said = "", None
    try:
        text = file.read_bytes().decode("utf-8")
        said = json.loads(text)
    except OSError as error:
        fix = "Write it there with `isthmus calibrate ANSWERS -o FILE`"
        raise InputError(f"{file} cannot be read: {error.strerror}", where=where, fix=fix) from None
    except ValueError:
        pass  # told below
    if not isinstance(said, dict) or said.get("isthmus_calibration") != 1:
        raise InputError(f"{file} is no file of `isthmus calibrate`", where=where, fix="Name one that is")
    if said.get("domain") != domain:
        what = f"{file} was calibrated in domain {said.get('domain')}, and the workload's is {domain}"
        fix = "Name one of its own domain: of another the gateway would take no score"
        raise InputError(what, where=where, fix=fix)
    if said.get("model_digest") is None:
        what = f"{file} names no weights, so no gateway would use it"
        raise InputError(
            what, where=where, fix="Judge answers with `model_digest` in each line, and calibrate anew"
        )
    return text


def _workloads(tree: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for gateway in _dicts(tree.get("gateways")):
        yield from ((gateway, each) for each in _dicts(gateway.get("workloads")))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
