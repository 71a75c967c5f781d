"""`isthmus evidence`: the result of every control for a stack, from its rendering or its state."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from isthmus.contracts.reports.evidence import Evidence, Of, Row
from isthmus.core.digests import sha256_of
from isthmus.core.errors import InputError, Refused
from isthmus.engine.policy import evaluation as policy_evaluation
from isthmus.engine.project import commits

if TYPE_CHECKING:
    from isthmus.contracts.platform.model.platform import Platform
    from isthmus.engine.project.project import Stack


def evidence(stack: Stack, of: Of, as_of: date) -> Evidence:
    """Check every control, with the settings and silences of the files.

    All stacks of an estate are checked together, since boundaries span them. Rows are about this stack and about the
    whole platform. Raises the errors of reading files, program and state, and `Refused` for a stack without state.
    """
    from policies.evaluation.evidence import evidence as asked
    from policies.evaluation.unchecked_controls import NOT_CHECKED

    platform = stack.platform()
    if of == "state":
        resources = _deployed_resources(stack)
        platform = _deployed_platform(resources, stack) or platform
    else:
        resources = _rendered_resources(stack)
    rows = asked(resources, platform, policy_evaluation.settings([stack]), stack.name, as_of)
    return Evidence(
        stack=stack.name,
        of=of,
        as_of=as_of,
        commit=commits.head(stack.project.root),
        resources=sum(1 for resource in resources if resource.made),
        digest=_digest(resources),
        rows=list(_rows_of_stack(rows, stack.name)),
        not_checked=list(NOT_CHECKED),
    )


def _rendered_resources(stack: Stack) -> Sequence[Any]:
    from isthmus.engine.render import rendering

    with rendering.without_garbage_collection():
        return [
            resource
            for rendered in rendering.render_estate(stack).values()
            for resource in rendered.resources
        ]


def _deployed_resources(stack: Stack) -> Sequence[Any]:
    """Resources from the states of the stack's estate, in the form of a rendering."""
    from isthmus.engine.estate import layers as estate_layers
    from isthmus.engine.project.prerequisites import run_environment
    from isthmus.graph.resources import state as graph_state

    names = [member.stack for member in stack.estate.members] if stack.estate else [stack.name]
    with run_environment(stack):
        states = {name: estate_layers.read_state(stack, name) for name in names}
    if not states[stack.name].get("resources"):
        raise Refused(
            "the stack is not deployed, so there is no state to check",
            where=f"stack {stack.name}",
            fix="Deploy it with `isthmus up`, or check its rendering with `--of rendering`",
        )
    return graph_state.from_state(
        *({"deployment": deployment} for deployment in states.values() if deployment.get("resources"))
    )


def _deployed_platform(resources: Sequence[Any], stack: Stack) -> Platform | None:
    """The deployed platform, which may differ from today's files."""
    from policies.plugin import resources as engine_resources

    try:
        return engine_resources.platform(resources)
    except ValueError as error:
        raise InputError(
            f"the platform in the state cannot be read ({error})",
            where=f"stack {stack.name}",
            fix="Run `isthmus up` with this version first, or use the version that deployed the stack",
        ) from error


def _rows_of_stack(rows: Iterable[Row], name: str) -> Iterator[Row]:
    """Rows about the stack and the whole platform. A control with rows of other stacks only is not applicable."""
    urn_prefix = f"urn:pulumi:{name}::"
    for _, group in itertools.groupby(rows, key=lambda row: row.check):
        check_rows = list(group)
        yield from [row for row in check_rows if not row.urn or row.urn.startswith(urn_prefix)] or [
            _not_applicable(check_rows[0])
        ]


def _not_applicable(row: Row) -> Row:
    return Row(
        control=row.control,
        supports=row.supports,
        check=row.check,
        severity=row.severity,
        result="not applicable",
    )


def _digest(resources: Sequence[Any]) -> str:
    """SHA-256 of the checked resources: URNs and inputs, with masked secrets."""
    content = sorted(
        ([resource.urn, resource.inputs] for resource in resources if resource.made),
        key=lambda resource: resource[0],
    )
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return sha256_of(text)
