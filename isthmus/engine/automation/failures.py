"""Turns a failure of the engine into one error: what failed, why, and how to fix it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused
from isthmus.engine.automation.events import Failure, resource_label

_RUN_AGAIN = (
    "then run the same command again: it looks up what was being created, adopts or creates it, and continues"
)

_KNOWN_CAUSES: list[tuple[str, type[IsthmusError], str]] = [
    (
        r"violates plan|not allowed by the plan|expected resource operations for",
        Refused,
        (
            "Something changed after the approval, so this step is not part of it; all completed steps are. Preview"
            " again, review the result, and approve it"
        ),
    ),
    (
        (
            r"error reading from server|transport is closing|transport: Error while dialing|code = Unavailable"
            r"|resource plugin .* exited"
        ),
        EnvironmentFault,
        f"The provider's process was killed, or ran out of memory: free memory, {_RUN_AGAIN}",
    ),
    (
        (
            r"(this version of the Pulumi CLI|deployment version) is too new|newer than what this version"
            r"|unsupported (checkpoint|deployment) version"
        ),
        EnvironmentFault,
        "A newer Pulumi wrote this state: use that version or a newer one; an older one must not write it",
    ),
    (
        r"failed to load checkpoint|unexpected end of JSON input",
        EnvironmentFault,
        (
            "The stack's state is truncated or damaged in its backend: restore its last good version"
            " (docs/recovery.md), then run the same command again"
        ),
    ),
    (
        r"no matches for kind|could not find the requested resource|CRD.*not found",
        EnvironmentFault,
        (
            "The cluster does not serve this kind: install the operator that defines it, or set its mode to `off` under"
            " `operators` in the stack's overrides; in the sandbox run `isthmus sandbox up` again"
        ),
    ),
    (
        r"Insufficient nvidia\.com/gpu|Unschedulable|nodes are available",
        EnvironmentFault,
        (
            "No node fits the pod: compare the pool's free GPUs, labels and taints with the plan"
            " (`kubectl describe pod`), free GPUs or plan again, then run the same command again"
        ),
    ),
    (
        r"cannot be deleted\s+because it is protected|marked for protection",
        Refused,
        (
            "It holds records or a model. Revert the change that would delete or replace it. To replace it anyway, run"
            " `pulumi state unprotect URN` and the same command again; the old resource is retained (docs/stacks.md)"
        ),
    ),
    (
        r"exceeded quota",
        EnvironmentFault,
        "The namespace's quota is used up: stop other workloads in it, then run the same command again",
    ),
    (
        r"denied the request|denied request",
        Refused,
        "The cluster's admission control refuses this: correct what it names in the plan or the overrides",
    ),
    (
        r"conflicts? with|field manager|Apply failed with \d+ conflict",
        EnvironmentFault,
        (
            "Another manager owns a field that this stack sets: find it (`kubectl get -o yaml --show-managed-fields`),"
            " make it give up the field, then run the same command again"
        ),
    ),
    (
        r"incorrect passphrase|passphrase must be set|PULUMI_CONFIG_PASSPHRASE",
        EnvironmentFault,
        (
            "The stack's secrets are encrypted with another passphrase: set PULUMI_CONFIG_PASSPHRASE or"
            " PULUMI_CONFIG_PASSPHRASE_FILE to the original one"
        ),
    ),
    (
        (
            r"connection refused|connection reset|no such host|i/o timeout|unreachable|Could not connect to the"
            r" endpoint|EndpointConnectionError|Connection (was closed|aborted)|unexpected EOF"
        ),
        EnvironmentFault,
        f"The cluster or account does not answer: check it (sandbox: `isthmus sandbox status`), {_RUN_AGAIN}",
    ),
    (
        r"currently locked by",
        EnvironmentFault,
        "Wait until the other run ends; if it is dead, clear its lock with `pulumi cancel`",
    ),
    (
        (
            r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceUnavailable|InternalError"
            r"|InternalFailure|InternalServerError|ServiceException|Read timeout"
        ),
        EnvironmentFault,
        f"AWS still refused or failed after all retries: wait some minutes, {_RUN_AGAIN}",
    ),
    (
        r"DeleteConflict",
        EnvironmentFault,
        (
            "A policy is attached that this stack did not attach, for example by a budget action: find it (`aws iam"
            " list-attached-role-policies`, `aws iam list-entities-for-policy`), detach it (`aws iam"
            " detach-role-policy`), then run the same command again"
        ),
    ),
    (
        r"AlreadyExists|already exists",
        EnvironmentFault,
        (
            "It exists, but this stack does not own it: adopt it with `pulumi import`, or delete it, then run the"
            " same command again"
        ),
    ),
    (
        r"timed out|[Tt]imeout",
        EnvironmentFault,
        "It was not ready in time: check its events (`kubectl describe`), then run the same command again",
    ),
    (
        r"no resource plugin|could not (find|load) plugin|failed to load plugin|unable to find plugin",
        EnvironmentFault,
        "A provider plugin is missing: run `isthmus sandbox install`, or `pulumi plugin install`",
    ),
]

_NOISE = re.compile(r"^\d+ errors? occurred:\s*|\s*\*\s+|^update failed$|^error:\s*", re.MULTILINE)
_ADDRESSES = re.compile(r"urn:pulumi:[^\s\"']+|https?://[^\s\"']+")
"""Types and addresses in a message. They can look like a cause (`ValidatingAdmissionPolicy`, `?timeout=`)."""
_ENGINE_ENDED = "Resource monitor has terminated"
"""Message of a program whose engine ended first. The cause is in another failure."""
_STACK_TYPE = "pulumi:pulumi:Stack"


def failure(failures: Sequence[Failure], stderr: str, stack: str, log: Path | None) -> IsthmusError:
    """The error to show. `failures`: from the engine's events; `stderr`: for errors without an event."""
    if program_error := _program_error(failures, stack):
        return program_error
    of_resources = [failure for failure in failures if failure.urn and _STACK_TYPE not in failure.urn]
    shown = next(iter(of_resources), None) or _first_informative(failures)
    if shown is None:
        shown = Failure(None, _last_error(stderr) or "the engine failed without a message")
    message = _shortened(shown.message)
    other_count = len({failure.urn for failure in of_resources} - {shown.urn})
    also = f" (and {other_count} more)" if other_count else ""
    message_with_resource = (
        f"{resource_label(shown.urn)}{also}: {message}" if shown.urn and of_resources else message
    )
    see = f" The full log is in {log}" if log else ""
    where = f"stack {stack}, site {shown.site}" if shown.site else f"stack {stack}"
    reason = _ADDRESSES.sub("", shown.message)
    for pattern, kind, fix in _KNOWN_CAUSES:
        if re.search(pattern, reason):
            return kind(message_with_resource, where=where, fix=f"{fix}.{see}")
    kind = InputError if "isthmus" in shown.message.lower() and not of_resources else EnvironmentFault
    return kind(
        message_with_resource, where=where, fix=f"Correct the cause and run the same command again.{see}"
    )


def _program_error(failures: Sequence[Failure], stack: str) -> IsthmusError | None:
    """The Isthmus error that the program printed (`stacks.__main__`), with its own type; None if there is none."""
    for failure in failures:
        for kind in (Refused, InputError, EnvironmentFault):
            before, _, after = " ".join(failure.message.split()).partition(f"{kind.verdict}: ")
            if after and not before and _ENGINE_ENDED not in after:
                return kind(after, where=f"stack {stack}")
    return None


def _first_informative(failures: Sequence[Failure]) -> Failure | None:
    """The first failure whose message says more than that an update failed."""
    for failure in failures:
        if _NOISE.sub("", failure.message).strip():
            return failure
    return None


def _shortened(message: str, limit: int = 600) -> str:
    """The message as one paragraph without bullet marks. Of a Python traceback, only the last line."""
    if "Traceback (most recent call last)" in message:
        lines = [line for line in message.splitlines() if line.strip() and not line.startswith(" ")]
        message = lines[-1] if lines else message
    text = " ".join(_NOISE.sub(" ", message).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return _NOISE.sub("", (errors or lines or [""])[-1])
