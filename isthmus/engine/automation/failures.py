"""An engine's failure as one paragraph: what failed, why, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from isthmus.core.errors import EnvironmentFault, InputError, IsthmusError, Refused
from isthmus.engine.automation.events import Failure, resource_label

_RUN_AGAIN = (
    "then run the same command again: what was being made is looked up, taken into the state or made, and all"
    " the rest is as it should be"
)

_KNOWN_CAUSES: list[tuple[str, type[IsthmusError], str]] = [
    (
        r"violates plan|not allowed by the plan|expected resource operations for",
        Refused,
        (
            "It is not in what was approved, and something was changed since: all that was done is. Preview again, look"
            " at it, and approve that"
        ),
    ),
    (
        (
            r"error reading from server|transport is closing|transport: Error while dialing|code = Unavailable"
            r"|resource plugin .* exited"
        ),
        EnvironmentFault,
        f"The provider's process ended in the middle (killed, or out of memory): see that there is room, {_RUN_AGAIN}",
    ),
    (
        (
            r"(this version of the Pulumi CLI|deployment version) is too new|newer than what this version"
            r"|unsupported (checkpoint|deployment) version"
        ),
        EnvironmentFault,
        "A newer Pulumi wrote this state: use that one, or a newer one; an older one must not write it",
    ),
    (
        r"failed to load checkpoint|unexpected end of JSON input",
        EnvironmentFault,
        (
            "The stack's state is cut off or damaged in its backend: put its last good version back, as"
            " docs/recovery.md says, then run the same command again"
        ),
    ),
    (
        r"no matches for kind|could not find the requested resource|CRD.*not found",
        EnvironmentFault,
        (
            "The cluster lacks this kind: install the operator that brings it, or set its mode to `off` under"
            " `operators` in the stack's overrides; in the sandbox run `isthmus sandbox up` again"
        ),
    ),
    (
        r"Insufficient nvidia\.com/gpu|Unschedulable|nodes are available",
        EnvironmentFault,
        (
            "The scheduler finds no node: compare the pool's free GPUs, labels and taints with the plan"
            " (`kubectl describe pod`), free GPUs or plan anew, then run the same command again"
        ),
    ),
    (
        r"cannot be deleted\s+because it is protected|marked for protection",
        Refused,
        (
            "It holds records or a model. Take back the change that would delete or replace it. If it must be: `pulumi"
            " state unprotect URN` and the same command again, which leaves the old one where it is (docs/stacks.md)"
        ),
    ),
    (
        r"exceeded quota",
        EnvironmentFault,
        "The namespace's quota is used up: end what else runs in it, then run the same command again",
    ),
    (
        r"denied the request|denied request",
        Refused,
        "The cluster's admission refuses this: mend what it names in the plan or the overrides",
    ),
    (
        r"conflicts? with|field manager|Apply failed with \d+ conflict",
        EnvironmentFault,
        (
            "Another manager holds a field that this stack sets: end its claim (`kubectl get -o yaml"
            " --show-managed-fields` names it), then run the same command again"
        ),
    ),
    (
        r"incorrect passphrase|passphrase must be set|PULUMI_CONFIG_PASSPHRASE",
        EnvironmentFault,
        (
            "The stack's secrets were made with another passphrase: set PULUMI_CONFIG_PASSPHRASE or"
            " PULUMI_CONFIG_PASSPHRASE_FILE to the one it was made with"
        ),
    ),
    (
        (
            r"connection refused|connection reset|no such host|i/o timeout|unreachable|Could not connect to the"
            r" endpoint|EndpointConnectionError|Connection (was closed|aborted)|unexpected EOF"
        ),
        EnvironmentFault,
        f"It does not answer: check that cluster or account (sandbox: `isthmus sandbox status`), {_RUN_AGAIN}",
    ),
    (
        r"currently locked by",
        EnvironmentFault,
        "Wait for the other run; if it is dead, `pulumi cancel` clears its lock",
    ),
    (
        (
            r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceUnavailable|InternalError"
            r"|InternalFailure|InternalServerError|ServiceException|Read timeout"
        ),
        EnvironmentFault,
        f"AWS kept refusing or failing after all retries: wait some minutes, {_RUN_AGAIN}",
    ),
    (
        r"DeleteConflict",
        EnvironmentFault,
        (
            "Something is attached that this stack did not attach, perhaps by a budget that has acted: see it (`aws iam"
            " list-attached-role-policies`, `aws iam list-entities-for-policy`), detach it (`aws iam"
            " detach-role-policy`), then run the same command again"
        ),
    ),
    (
        r"AlreadyExists|already exists",
        EnvironmentFault,
        (
            "It exists and is not this stack's: take it over with `pulumi import`, or remove it, then run the"
            " same command again"
        ),
    ),
    (
        r"timed out|[Tt]imeout",
        EnvironmentFault,
        "It was not ready in time: see its events (`kubectl describe`), then run the same command again",
    ),
    (
        r"no resource plugin|could not (find|load) plugin|failed to load plugin|unable to find plugin",
        EnvironmentFault,
        "A provider plugin is missing: run `isthmus sandbox install`, or `pulumi plugin install`",
    ),
]

_NOISE = re.compile(r"^\d+ errors? occurred:\s*|\s*\*\s+|^update failed$|^error:\s*", re.MULTILINE)
_ADDRESSES = re.compile(r"urn:pulumi:[^\s\"']+|https?://[^\s\"']+")
"""What a failure is about: a type or an address may read like a reason (`ValidatingAdmissionPolicy`, `?timeout=`)."""
_ENGINE_ENDED = "Resource monitor has terminated"
"""What a program is told that the engine ended: why it did stands elsewhere."""
_STACK_TYPE = "pulumi:pulumi:Stack"


def failure(failures: Sequence[Failure], stderr: str, stack: str, log: Path | None) -> IsthmusError:
    """The error to show. `failures` as reported; `stderr` for what came without an event."""
    if program_error := _program_error(failures, stack):
        return program_error
    of_resources = [failure for failure in failures if failure.urn and _STACK_TYPE not in failure.urn]
    shown = next(iter(of_resources), None) or _first_informative(failures)
    if shown is None:
        shown = Failure(None, _last_error(stderr) or "the engine failed without saying why")
    message = _shortened(shown.message)
    other_count = len({failure.urn for failure in of_resources} - {shown.urn})
    also = f" (and {other_count} more)" if other_count else ""
    message_with_resource = (
        f"{resource_label(shown.urn)}{also}: {message}" if shown.urn and of_resources else message
    )
    see = f" The whole log is in {log}" if log else ""
    where = f"stack {stack}, site {shown.site}" if shown.site else f"stack {stack}"
    reason = _ADDRESSES.sub("", shown.message)
    for pattern, kind, fix in _KNOWN_CAUSES:
        if re.search(pattern, reason):
            return kind(message_with_resource, where=where, fix=f"{fix}.{see}")
    kind = InputError if "isthmus" in shown.message.lower() and not of_resources else EnvironmentFault
    return kind(message_with_resource, where=where, fix=f"Mend it and run the same command again.{see}")


def _program_error(failures: Sequence[Failure], stack: str) -> IsthmusError | None:
    """An error of our own, as the program told it (`stacks.__main__`): whole, and of its own kind."""
    for failure in failures:
        for kind in (Refused, InputError, EnvironmentFault):
            before, _, after = " ".join(failure.message.split()).partition(f"{kind.verdict}: ")
            if after and not before and _ENGINE_ENDED not in after:
                return kind(after, where=f"stack {stack}")
    return None


def _first_informative(failures: Sequence[Failure]) -> Failure | None:
    """Of errors about no resource, the first that says more than that there was one."""
    for failure in failures:
        if _NOISE.sub("", failure.message).strip():
            return failure
    return None


def _shortened(message: str, limit: int = 600) -> str:
    """One paragraph without the engine's bullet marks; a Python traceback is cut to its last line."""
    if "Traceback (most recent call last)" in message:
        lines = [line for line in message.splitlines() if line.strip() and not line.startswith(" ")]
        message = lines[-1] if lines else message
    text = " ".join(_NOISE.sub(" ", message).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return _NOISE.sub("", (errors or lines or [""])[-1])
