"""Whom and what an organisation trusts beyond its own stacks: `trust.yaml`, beside `Pulumi.yaml`, for every stack.

Without an entry, what is in reach of classified data must be the stack's own or known to Isthmus. An entry names one
value of one kind, why it is trusted, who answers for it and, if wanted, until when. docs/trust.md describes the kinds.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import StringConstraints, ValidationError, field_validator

from isthmus.contracts.reference import gateway_access
from isthmus.contracts.vocabulary import AccountId, Part
from isthmus.core import yaml_files
from isthmus.core.errors import FieldError
from isthmus.core.ip_addresses import is_within
from isthmus.core.validation_errors import explain
from isthmus.core.yaml_documents import Document

FILE = "trust.yaml"
Kind = Literal[
    "registries",
    "charts",
    "accounts",
    "principals",
    "address_ranges",
    "access",
    "keys",
    "buckets",
    "reviewers",
    "evaluators",
    "roles",
    "namespaces",
    "managers",
    "resource_types",
    "engine_flags",
    "objects",
    "changes",
]
"""What an entry names; the keys of `trust.yaml`."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_PATTERNS: tuple[Kind, ...] = ("principals", "managers", "resource_types", "objects", "changes")
"""Kinds whose values may end with `*`."""
_GROUPS = {"kubernetes": "API group", "aws": "service"}
"""Provider → what an entry for its types must name, since rules know them type by type."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]


class Entry(Part):
    """One trusted value."""

    value: Text
    reason: Text
    """Why it is trusted."""
    owner: Text
    """Who answers for it."""
    expires: date | None = None
    """The last day on which it is trusted; absent: until the entry is removed."""

    def is_valid(self, today: date) -> bool:
        """Whether the entry still counts on that day."""
        return self.expires is None or today <= self.expires


class AccountEntry(Entry):
    """An AWS account. Its principals, keys and buckets named by ARN are trusted with it."""

    value: AccountId


class RangeEntry(Entry):
    """An IPv4 or IPv6 range that is the organisation's own although its addresses are public."""

    @field_validator("value")
    @classmethod
    def _is_range(cls, value: str) -> str:
        try:
            network = ipaddress.ip_network(value)
        except ValueError:
            raise FieldError(
                f"`{value}` is not an address range", fix="Write it like 198.51.100.0/24, without host bits"
            ) from None
        if network.prefixlen == 0:
            raise FieldError(
                f"`{value}` is every address", fix="Name the ranges that are yours", refused=True
            )
        return value


class AccessEntry(Entry):
    """A way in from outside the cluster: `CLASS at SITE from RANGE`. `0.0.0.0/0` only for class public."""

    @field_validator("value")
    @classmethod
    def _is_way_in(cls, value: str) -> str:
        if problem := gateway_access.entry_problem(value):
            fix = "Write it like `internal at fra1 from 10.60.0.0/16`, as `isthmus trust propose` prints it"
            raise FieldError(problem, fix=fix, refused=True)
        return value


class EvaluatorEntry(Entry):
    """The public key of who may sign official results of evaluations: `ssh-ed25519 BASE64`, without a comment."""

    value: Annotated[Text, StringConstraints(pattern=r"^ssh-ed25519 [A-Za-z0-9+/]{68}$")]


class RegistryEntry(Entry):
    """A registry, or a path in it, from which images may come: `registry.bank.example/ai`."""

    value: Annotated[Text, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*/?$")]


class PatternEntry(Entry):
    """A name, or all that begin with it where the last character is `*`: `velero.io/*`."""

    @field_validator("value")
    @classmethod
    def _is_bounded(cls, value: str) -> str:
        if ("*" in value[:-1] and not value.startswith("arn:")) or len(value.rstrip("*").strip(":/")) < 3:
            raise FieldError(
                f"`{value}` matches too much",
                fix="Write the whole name, or a beginning of three or more characters with one `*` at the end",
                refused=True,
            )
        return value


class PrincipalEntry(PatternEntry):
    """A principal of AWS by ARN; or a user or group of a cluster, or all that begin with it: `oidc:risk-*`."""

    @field_validator("value")
    @classmethod
    def _is_one_arn(cls, value: str) -> str:
        if value.startswith("arn:") and "*" in value:
            raise FieldError(
                f"`{value}` is more than one principal of AWS", fix="Write each ARN whole", refused=True
            )
        return value


class TypeEntry(PatternEntry):
    """A type of resource, or all of one API group or service that begin so: `kubernetes:velero.io/*`."""

    @field_validator("value")
    @classmethod
    def _is_of_one_group(cls, value: str) -> str:
        provider, colon, rest = value.partition(":")
        if not value.endswith("*") or (colon and provider not in _GROUPS) or re.match(r"[^:/*]+[:/]", rest):
            return value
        raise FieldError(
            f"`{value}` names no {_GROUPS[provider] if colon else 'provider'}, so it covers unlike types",
            fix="Write `kubernetes:GROUP/*`, `aws:SERVICE/*` or the whole type, as `isthmus trust propose` prints it",
            refused=True,
        )


class Trust(Part):
    """The whole file. The empty one trusts nothing beyond the stack and what Isthmus knows."""

    isthmus: Literal["v1"] = "v1"
    registries: list[RegistryEntry] = []
    """Registries, or paths in one, from which images may come beside the organisation's own (`images.registry`)."""
    charts: list[Entry] = []
    """Helm charts by reference: `oci://registry.bank.example/charts/gpu-operator`."""
    accounts: list[AccountEntry] = []
    """AWS accounts beside those of the stack's sites."""
    principals: list[PrincipalEntry] = []
    """IAM principals of other accounts, by ARN; and users or groups of a cluster, which may end with `*`."""
    address_ranges: list[RangeEntry] = []
    """Public ranges that are the organisation's own."""
    access: list[AccessEntry] = []
    """Ranges from which callers outside the cluster reach a class's gateway: `internal at fra1 from 10.60.0.0/16`."""
    keys: list[Entry] = []
    """KMS keys of other accounts, by ARN."""
    buckets: list[Entry] = []
    """S3 buckets that no stack makes, by name."""
    reviewers: list[Entry] = []
    """Reviewers' certificates (DNS name or SPIFFE id)."""
    evaluators: list[EvaluatorEntry] = []
    """Public keys of who may sign official results of `isthmus evaluate`: `ssh-ed25519 BASE64`."""
    roles: list[Entry] = []
    """Cluster roles and roles, by name, that a team may bind in a class's namespace."""
    namespaces: list[Entry] = []
    """Namespaces with monitoring or control planes that reach a class's pods."""
    managers: list[PatternEntry] = []
    """Who else writes to the stack's objects: field managers of controllers, autoscalers, meshes and webhooks."""
    resource_types: list[TypeEntry] = []
    """Types of resources beside those that Isthmus knows: `kubernetes:velero.io/v1:Schedule`, `aws:dlm/*`."""
    engine_flags: list[Entry] = []
    """Flags of `vllm serve` and variables of its container, beside those that Isthmus knows to keep data in the pod."""
    objects: list[PatternEntry] = []
    """Own objects in the namespace of a class or a control plane, as NAMESPACE/NAME, without a namespace as NAME.
    Every other rule still judges them.
    """
    changes: list[PatternEntry] = []
    """Changes that take a protection away or open a way, as `isthmus trust propose --base` prints them."""

    def entries(self, kind: Kind) -> list[Entry]:
        """The entries of a kind, expired ones included."""
        return list(getattr(self, kind))

    def find(self, kind: Kind, value: str, today: date) -> Entry | None:
        """The entry that trusts a value on that day, or None."""
        entry = next(
            (
                entry
                for entry in self.entries(kind)
                if entry.is_valid(today) and _covers(kind, entry.value, value)
            ),
            None,
        )
        account = _account_of(value)
        if entry is None and account and kind in ("principals", "keys"):
            return self.find("accounts", account, today)
        return entry

    def expired(self, today: date) -> Iterator[tuple[Kind, Entry]]:
        """The entries that no longer count."""
        for kind in KINDS:
            for entry in self.entries(kind):
                if not entry.is_valid(today):
                    yield kind, entry


def parse(document: Document) -> Trust:
    """The trust that a document states; raises `InputError` for an unknown key or a value that is not of its kind."""
    try:
        return Trust.model_validate(document.data)
    except ValidationError as error:
        raise explain(Trust, document, error) from None


def read(project: Path) -> Trust:
    """The trust file of a project's folder. Without one nothing foreign is trusted. Raises `InputError`."""
    file = project / FILE
    # The shell empties the file before `isthmus trust propose STACK > trust.yaml` reads it.
    if not file.exists() or not file.stat().st_size:
        return Trust()
    return parse(yaml_files.load(file))


def covers(entry: tuple[Kind, str], wanted: tuple[Kind, str]) -> bool:
    """Whether an entry, as kind and value, trusts what another one would."""
    (kind, trusted), (wanted_kind, value) = entry, wanted
    if kind == "accounts" and wanted_kind in ("principals", "keys"):
        return _account_of(value) == trusted
    return kind == wanted_kind and _covers(kind, trusted, value)


def _covers(kind: Kind, trusted: str, value: str) -> bool:
    if kind == "address_ranges":
        return is_within(value, [trusted])
    if kind == "access":
        return gateway_access.covers_entry(trusted, value)
    if kind == "registries":
        return value == trusted.rstrip("/") or value.startswith(f"{trusted.rstrip('/')}/")
    if kind in _PATTERNS and trusted.endswith("*"):
        return value.startswith(trusted[:-1])
    return value == trusted


def _account_of(value: str) -> str:
    """The account in an ARN, or empty."""
    parts = value.split(":")
    return parts[4] if len(parts) > 5 and parts[0] == "arn" else ""


__all__ = ["FILE", "KINDS", "AccountEntry", "Entry", "Kind", "Trust", "covers", "parse", "read"]
