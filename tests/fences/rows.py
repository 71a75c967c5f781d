"""Ways out by editing files, and which of the fences refuses each when it is asked alone.

The contract (a platform that is checked), the rules at `render` and `preview`, and the comparison of `isthmus ci` see
the files. The cluster, the account and the gateway see what was applied: docs/threat-model.md names their tests.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal
from unittest import mock

from pydantic import ValidationError

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.rules import check
from isthmus.contracts.trust import Trust
from isthmus.core.errors import FieldError, IsthmusError
from isthmus.engine.pull_request import relaxed_trust
from policies.evaluation.evaluation import blocking_findings, judge
from tests.blueprints import bank
from tests.recording import record

TODAY = date(2026, 11, 30)
Fence = Literal["contract", "rules", "ci"]
FENCES: tuple[Fence, ...] = ("contract", "rules", "ci")
Edit = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class Row:
    """One way out."""

    what: str
    edit: Edit
    refused_by: frozenset[Fence]
    """The fences that refuse it alone."""


def _gateway(data: dict[str, Any], class_: str) -> dict[str, Any]:
    return next(gateway for gateway in data["gateways"] if gateway["class"] == class_)


def _endpoint(data: dict[str, Any], class_: str) -> dict[str, Any]:
    return next(
        endpoint
        for endpoint in data["endpoints"]
        if endpoint["class"] == class_ and endpoint["target"] == "onprem-vllm"
    )


def _site(data: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(site for site in data["sites"] if site["kind"] == kind)


def _records_to(bucket: str) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        store = next(store for store in data["audit"] if store["site"] == "frankfurt")
        store.clear()
        store.update(name="frankfurt", site="frankfurt", mode="existing", bucket=bucket, retention_days=400)

    return edit


def _own_account(data: dict[str, Any], **values: Any) -> None:
    _site(data, "aws").update(account_id="111122223333", **values)


def _registry(data: dict[str, Any]) -> None:
    data["images"]["registries"] = [*data["images"].get("registries", []), "docker.io/evil/"]
    data["images"]["edge"] = f"docker.io/evil/edge@sha256:{'0' * 64}"


def _router(data: dict[str, Any]) -> None:
    _gateway(data, "confidential")["router"] = {
        **{"gateway_class": "istio", "service": "confidential-router-istio", "ca": "internal-ca"},
        **{"control_namespace": "default", "control_port": 4444},
    }


def _reviewer(data: dict[str, Any]) -> None:
    reviews = next(gateway["reviews"] for gateway in data["gateways"] if gateway.get("reviews"))
    eve = {"name": "eve", "client": "eve.apps.svc"}
    reviews["reviewers"] = [*reviews.get("reviewers", []), eve]


def _review_namespace(data: dict[str, Any]) -> None:
    reviews = next(gateway["reviews"] for gateway in data["gateways"] if gateway.get("reviews"))
    reviews["from_namespaces"] = ["default"]


def _chart(data: dict[str, Any]) -> None:
    chart = {"chart": "oci://ghcr.io/evil/gpu-operator", "version": "v26.3.0", "digest": f"sha256:{'0' * 64}"}
    data["operators"].update(gpu_operator="manage", gpu_operator_release=chart)


def _flag(flag: str) -> Edit:
    return lambda data: _endpoint(data, "restricted").update(engine_args=[flag])


def _row(what: str, edit: Edit, *refused_by: Fence) -> Row:
    return Row(what, edit, frozenset(refused_by))


FOREIGN_ROLE = "arn:aws:iam::444455556666:role/deploy"
FOREIGN_KEY = "arn:aws:kms:eu-central-1:444455556666:key/1"
ROWS: dict[str, Row] = {
    "B1-network": _row(
        "a public range as a network of the on-prem site",
        lambda data: _site(data, "on-prem").update(cidrs=["10.40.0.0/16", "52.94.0.0/16"]),
        "rules",
        "ci",
    ),
    "B1-resolver": _row(
        "a public resolver of the on-prem site",
        lambda data: _site(data, "on-prem").update(dns=["8.8.8.8"]),
        "contract",
        "rules",
        "ci",
    ),
    "B2-context": _row(
        "another cluster's context", lambda data: _site(data, "on-prem").update(kube_context="other"), "ci"
    ),
    "B3-account": _row(
        "another AWS account", lambda data: _site(data, "aws").update(account_id="999988887777"), "ci"
    ),
    "B3-role": _row(
        "a deploying role of another account",
        lambda data: _own_account(data, assume_role=FOREIGN_ROLE),
        "contract",
        "rules",
        "ci",
    ),
    "B4-chart": _row(
        "another chart of the GPU operator",
        _chart,
        "rules",
        "ci",
    ),
    "B4-namespace": _row(
        "the GPU operator in `kube-system`",
        lambda data: data["operators"].update(gpu_operator_namespace="kube-system"),
        "rules",
        "ci",
    ),
    "B5-registry": _row("another registry, and an image from it", _registry, "rules", "ci"),
    "B6-bucket": _row("records to a bucket of another account", _records_to("evil-records"), "rules", "ci"),
    "B6-key": _row(
        "a key of another account", lambda data: _own_account(data, kms_key=FOREIGN_KEY), "rules", "ci"
    ),
    "B8-router": _row("a router that a shared namespace directs", _router, "rules", "ci"),
    "B9-plugin": _row(
        "vLLM loads code (`--tool-parser-plugin`)",
        _flag("--tool-parser-plugin=/tmp/x.py"),
        "contract",
        "rules",
        "ci",
    ),
    "B9-cache": _row(
        "vLLM sends caches of prompts (`--kv-transfer-config`)",
        _flag("--kv-transfer-config={}"),
        "contract",
        "rules",
        "ci",
    ),
    "B10-reviewer": _row("a reviewer more", _reviewer, "ci"),
    "B10-reviews": _row("`default` as the reviewers' namespace", _review_namespace, "rules", "ci"),
    "B10-monitoring": _row(
        "`default` as the namespace of monitoring",
        lambda data: data["monitoring"].update(namespace="default"),
        "rules",
        "ci",
    ),
}


@functools.cache
def start() -> dict[str, Any]:
    """The bank's platform as data."""
    return bank.platform().model_dump(mode="json", by_alias=True, exclude_unset=True)


def edited(row: str) -> dict[str, Any]:
    """The bank's platform with one row's edit."""
    data = copy.deepcopy(start())
    ROWS[row].edit(data)
    return data


def contract_refuses(data: dict[str, Any]) -> bool:
    """Whether a platform that is checked cannot be built from the data."""
    try:
        CheckedPlatform.model_validate(data)
    except (ValidationError, IsthmusError):
        return True
    return False


def rules_refuse(data: dict[str, Any]) -> bool:
    """Whether the rules stop the unchecked platform. A component that refuses it is no rule."""
    platform = Platform.model_validate(data)
    if any(finding.policy == "trust/foreign-values" for finding in judge([], platform, today=TODAY)):
        return True
    with mock.patch.object(check, "check", return_value=None):  # the contract is another fence
        try:
            resources = record(platform).resources
        except (IsthmusError, FieldError):
            return False
    return bool(blocking_findings(judge(resources, platform, today=TODAY)))


def ci_refuses(data: dict[str, Any]) -> bool:
    """Whether the comparison of two commits calls the edit a loosening."""
    before, after = bank.platform(), Platform.model_validate(data)
    changes = relaxed_trust.stated_changes(before, after, Trust(), TODAY)
    return any(change.loosens for change in changes)


REFUSES: dict[Fence, Callable[[dict[str, Any]], bool]] = {
    "contract": contract_refuses,
    "rules": rules_refuse,
    "ci": ci_refuses,
}


def table() -> str:
    """The rows in Markdown, for docs/threat-model.md."""
    lines = ["| row | edit | contract | rules | `isthmus ci` |", "|---|---|---|---|---|"]
    for name, row in ROWS.items():
        cells = ["refuses" if fence in row.refused_by else "" for fence in FENCES]
        lines.append(f"| {name} | {row.what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
