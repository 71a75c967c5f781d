"""Whether data of a class may take a path, by its handling and the residency of its workloads.

A refused path stays refused, whatever else is unknown. An unknown place makes a path undecided for every class above
public; public data is limited only by residency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from isthmus.contracts.platform.model.platform import Platform, Workload
from isthmus.contracts.reference import handling, jurisdictions
from isthmus.contracts.vocabulary import SENSITIVITIES, Sensitivity, Target
from isthmus.core.errors import IsthmusError
from isthmus.graph.data_path.model_services import Served, is_public_host
from isthmus.graph.resources.sites import Place

Word = Literal["allowed", "undecided", "refused"]
WORDS: tuple[Word, ...] = ("allowed", "undecided", "refused")
"""From the best to the worst."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one path, with the reasons if it is not allowed."""

    word: Word = "allowed"
    why: tuple[str, ...] = ()

    def and_(self, *further: Verdict) -> Verdict:
        """Merge with other verdicts: the worst one, with the reasons of that kind."""
        verdicts = (self, *further)
        worst = max(verdicts, key=lambda verdict: WORDS.index(verdict.word)).word
        reasons = (why for verdict in verdicts if verdict.word == worst for why in verdict.why)
        return Verdict(worst, tuple(dict.fromkeys(reasons)))


ALLOWED = Verdict()


def refused(why: str) -> Verdict:
    return Verdict("refused", (why,))


def undecided(why: str) -> Verdict:
    return Verdict("undecided", (why,))


class Judge:
    """What a platform allows its classes on a day. Without a platform, only the handling decides.

    `held`: workloads that are judged by a stricter class than the one that serves them
    (`isthmus.graph.data_path.declared_policy`).
    """

    def __init__(
        self,
        platform: Platform | None,
        today: str | None,
        stricter_classes: Mapping[str, Sensitivity] | None = None,
    ) -> None:
        self.platform, self._today = platform, today
        self._held: Mapping[str, Sensitivity] = stricter_classes or {}
        self._workloads: dict[str, dict[str, Workload]] = {}
        for gateway in platform.gateways if platform else []:
            self._workloads.setdefault(gateway.class_, {}).update(
                {workload.name: workload for workload in gateway.workloads}
            )

    def held(self, class_: Sensitivity, workload: str) -> Sensitivity:
        """The class by which a workload's own paths are judged: never less strict than the class that serves it."""
        classes: tuple[Sensitivity, ...] = (class_, self._held.get(workload, class_))
        return max(classes, key=SENSITIVITIES.index)

    def unsure(self, class_: Sensitivity, why: str) -> Verdict:
        """The verdict on something unknown: undecided, but allowed for public data."""
        return ALLOWED if class_ == "public" else undecided(why)

    def known(self, class_: Sensitivity, workload: str) -> Verdict:
        """Whether a workload in a configuration is one of the platform's."""
        if self.platform is None or not workload or workload in self._workloads.get(class_, {}):
            return ALLOWED
        return self.unsure(class_, f"the platform names no {class_} workload {workload}")

    def target(self, class_: Sensitivity, target: Target, workload: str) -> Verdict:
        """Whether the class may run on a target. If its handling requires one, an exception must allow it."""
        exceptions = self.platform.exceptions if self.platform else []
        workloads = [workload] if workload else sorted(self._workloads.get(class_, {}))
        strict = self.held(class_, workload)
        why = handling.refusal(strict, target, workloads, exceptions, self._today)
        if why and strict != class_:
            why = f"{workload} is {strict} before this change, and {why}"
        return refused(why) if why else ALLOWED

    def server(self, class_: Sensitivity, where: Place, workload: str) -> Verdict:
        """Whether a model server may be at this place."""
        if where.kind:
            target: Target = "onprem-vllm" if where.kind == "on-prem" else "eks-vllm"
            places = {where.jurisdiction: where.name} if where.jurisdiction else {}
            return self.target(class_, target, workload).and_(self.residency(class_, workload, places))
        if handling.refusal(self.held(class_, workload), "eks-vllm") is None:
            return ALLOWED  # wherever its machines are
        return undecided(f"nothing says where the cluster {where.name or 'of its pods'} stands")

    def model(self, class_: Sensitivity, model: Served, workload: str) -> Verdict:
        """Whether a class may call a model of AWS on this path, in every region that may serve it."""
        verdict = self.target(class_, model.service, workload)
        strict = self.held(class_, workload)
        if model.anywhere:
            may_leave = handling.handling_of(strict).profiles_may_leave and not self._residencies(
                class_, workload
            )
            verdict = verdict.and_(ALLOWED if may_leave else refused(model.anywhere))
        if model.unknown:
            unsure = undecided if self._residencies(class_, workload) else None
            verdict = verdict.and_(unsure(model.unknown) if unsure else self.unsure(strict, model.unknown))
        if model.endpoint is None and strict != "public":
            verdict = verdict.and_(_public_call_verdict(model))
        if len(model.regions) > 1 and strict != "public" and self.platform is None:
            over = ", ".join(model.regions)
            verdict = verdict.and_(
                undecided(f"nothing says the residency of {strict} work, and {over} may serve it")
            )
        return verdict.and_(self._regions(class_, model.regions, workload))

    def region(self, class_: Sensitivity, region: str, workload: str = "") -> Verdict:
        """Whether the data may be in an AWS region."""
        return self._regions(class_, [region], workload)

    def residency(self, class_: Sensitivity, workload: str, places: dict[str, str]) -> Verdict:
        """Whether the jurisdictions, each with the name of its place, meet every residency that applies."""
        verdict = ALLOWED
        for name_of_workload, residency in self._residencies(class_, workload):
            for code, name in sorted(places.items()):
                try:
                    is_met = jurisdictions.meets_residency(code, residency)
                except IsthmusError as error:
                    return undecided(error.what)
                if not is_met:
                    reason = (
                        f"{name} lies in {code}, and {name_of_workload} must stay in {' or '.join(residency)}"
                    )
                    verdict = verdict.and_(refused(reason))
        return verdict

    def _regions(self, class_: Sensitivity, regions: Iterable[str], workload: str) -> Verdict:
        if not self._residencies(class_, workload):
            return ALLOWED
        places: dict[str, str] = {}
        for region in regions:
            try:
                code = jurisdictions.region_jurisdiction(region)
            except IsthmusError as error:
                return undecided(error.what)
            places[code] = f"{places[code]}, {region}" if code in places else region
        return self.residency(class_, workload, places)

    def _residencies(self, class_: Sensitivity, workload: str) -> list[tuple[str, list[str]]]:
        """The residencies that apply: of the workload, or of every workload of the class."""
        workloads = self._workloads.get(class_, {})
        selected = [workloads[workload]] if workload in workloads else list(workloads.values())
        return [
            (workload_entry.name, workload_entry.residency)
            for workload_entry in selected
            if workload_entry.residency
        ]


def _public_call_verdict(model: Served) -> Verdict:
    """The verdict on a call that uses no private endpoint of the stack."""
    if is_public_host(model.url):
        return refused(f"{model.name} is called at {model.url or 'the public name'}, by way of the internet")
    return undecided(f"{model.name} is called at {model.url}, which is no endpoint that is made here")
