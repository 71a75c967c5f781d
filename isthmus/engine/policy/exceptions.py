"""Lists every exception to the rules, by the organisation and by each stack of an estate, for reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from isthmus.contracts.policy_settings import FILE
from isthmus.contracts.reports.preview import RuleException

if TYPE_CHECKING:
    from isthmus.contracts.policy_settings import Settings
    from isthmus.engine.project.project import Stack


def exceptions(stack: Stack) -> list[RuleException]:
    """Rules that are off and silences, by the organisation and by every stack of the estate.

    Raises `InputError` for settings that cannot be read.
    """
    from policies.evaluation import settings as policy_settings_files

    found = list(_of_settings(policy_settings_files.load_settings(stack.project.root), FILE))
    layers = stack.siblings(stack.estate.members) if stack.estate is not None else [stack]
    for layer in layers:
        key = f"{layer.project.name}:{policy_settings_files.KEY}"
        if key in layer.config:
            where = f"{layer.config_file.name} ({key})"
            found += _of_settings(policy_settings_files.parse_stack_settings(layer.config[key], where), where)
    return sorted(found, key=lambda entry: (entry.kind, entry.rule, entry.resource, entry.source))


def _of_settings(settings: Settings, source: str) -> Iterator[RuleException]:
    for off in settings.off:
        yield RuleException(kind="off", rule=off.rule, owner=off.owner, reason=off.reason, source=source)
    for silence in settings.silences:
        yield RuleException(
            kind="silence",
            rule=silence.policy,
            resource=silence.resource,
            owner=silence.owner,
            reason=silence.reason,
            until=silence.until,
            source=source,
        )
