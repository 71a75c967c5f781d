"""What an organisation says to the policy pack: rules switched off, findings silenced, figures of its own.

`policies.yaml` beside `Pulumi.yaml` says it for every stack, the stack's config `isthmus:policies` for one. Each
exception names who answers for it and why; a silence has a last day.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field, ValidationError

from isthmus.contracts.named_results import NamedResult
from isthmus.contracts.reports.findings import Silence
from isthmus.contracts.trust import FILE as TRUST_FILE
from isthmus.contracts.trust import Trust
from isthmus.contracts.vocabulary import Part
from isthmus.core.errors import InputError
from isthmus.core.validation_errors import did_you_mean, explain
from isthmus.core.yaml_documents import Document

FILE = "policies.yaml"


class Off(Part):
    """A rule that this organisation does not want; it stays off until the line is taken back."""

    rule: str
    """Its id, `FAMILY/NAME`."""
    owner: str = Field(min_length=1)
    reason: str = Field(min_length=1)


class Figures(Part):
    """What a rule holds a resource to where a class or the platform does not say it."""

    log_days_min: int = Field(default=180, ge=1)
    """Days that a log group keeps at least; six months, by the AI Act's Article 26(6)."""
    key_rotation_days_max: int = Field(default=365, ge=90)
    replicas_min: int = Field(default=2, ge=1)
    """Of what serves: a gateway, an endpoint."""
    registries: list[str] = []
    """Registries that images may come from; empty: any, as long as a digest names the image."""


class Settings(Part):
    """As a whole. The empty one judges by every rule, with nothing silenced."""

    isthmus: Literal["v1"] = "v1"
    off: list[Off] = []
    silences: list[Silence] = []
    figures: Figures = Figures()
    trust: Trust = Field(default_factory=Trust, exclude=True)
    """What `trust.yaml` states. Not a key of `policies.yaml`, nor of a stack's config."""
    plugins: list[str] = Field(default=[], exclude=True)
    """Plugins, by name, that `Pulumi.yaml` puts in place of Pulumi's own. Not a key of `policies.yaml` either."""
    classified_neighbours: list[str] = Field(default=[], exclude=True)
    """Other stacks of the project with data of a class above public in a cluster of this stack. Not a key either."""
    evaluations: list[NamedResult] | None = Field(default=None, exclude=True)
    """The results of evaluations that the platform names. Not a key either. None: they were not read, as under the
    engine."""


def parse(document: Document, rules: Iterable[str]) -> Settings:
    """The settings that a document states; raises `InputError` for a key or a rule that there is not."""
    if "plugins" in document.data:
        raise InputError(
            "plugins are stated in Pulumi.yaml",
            where=document.where(("plugins",), key=True),
            fix="Remove `plugins` here",
        )
    if "evaluations" in document.data:
        raise InputError(
            "results of evaluations are named in the platform",
            where=document.where(("evaluations",), key=True),
            fix="Name a candidate's result below `canary.evaluation` in the overrides",
        )
    if "classified_neighbours" in document.data:
        raise InputError(
            "which stacks share a cluster is worked out from their sites",
            where=document.where(("classified_neighbours",), key=True),
            fix="Remove `classified_neighbours` here",
        )
    if "trust" in document.data:
        raise InputError(
            "trusted values have a file of their own",
            where=document.where(("trust",), key=True),
            fix=f"Move what is under `trust` to {TRUST_FILE}, beside Pulumi.yaml",
        )
    try:
        settings = Settings.model_validate(document.data)
    except ValidationError as error:
        raise explain(Settings, document, error) from None
    known_rules = set(rules)
    paths = [(("off", index, "rule"), entry.rule) for index, entry in enumerate(settings.off)]
    paths += [
        (("silences", index, "policy"), silence.policy) for index, silence in enumerate(settings.silences)
    ]
    for path, rule in paths:
        if rule not in known_rules:
            raise InputError(
                f"there is no rule `{rule}`",
                where=document.where(path),
                fix=f"{did_you_mean(rule, known_rules)} docs/policies.md lists all rules".strip(),
            )
    return settings


def merge(organisation: Settings, stack: Settings) -> Settings:
    """The organisation's and a stack's: exceptions of both, the stack's figures where it states some."""
    figures = stack.figures.model_dump(exclude_unset=True)
    return Settings(
        off=[*organisation.off, *stack.off],
        silences=[*organisation.silences, *stack.silences],
        figures=organisation.figures.model_copy(update=figures),
        trust=organisation.trust,
        plugins=organisation.plugins,
        classified_neighbours=organisation.classified_neighbours,
        evaluations=organisation.evaluations,
    )


__all__ = ["FILE", "Figures", "Off", "Settings", "merge", "parse"]
