"""The data path's redaction: what a class's handling has redacted before it leaves its gateway's site.

Where a place stands is taken from what stands behind it and not from what the configuration says of itself: the gateway
redacts by that word, so a wrong one opens the way as much as no redaction at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts import handling
from isthmus.contracts.platform import Gateway
from isthmus.contracts.platform_screening import demanded
from isthmus.contracts.words import SENSITIVITIES
from isthmus.graph.resources import Resource
from policies import frameworks as fw
from policies.documents import configurations
from policies.rule import Broken, Rule, Subject
from policies.values import at, unknown

_CONFIG, _TASK = "kubernetes:core/v1:ConfigMap", "aws:ecs/taskDefinition:TaskDefinition"
_LEAVING = "prompts-leaving-site"
_ROLE, _CLASS = "isthmus.dev/role", "isthmus.dev/class"


def held(subject: Subject) -> Iterator[tuple[Resource, Any]]:
    """Gateways of classes whose prompts are redacted when they leave; None: the configuration cannot be read."""
    for resource, _, config in configurations(subject.graph):
        if config is None:
            labels = at(resource.inputs, "metadata.labels") or {}
            of_gateway = labels.get(_ROLE) == "gateway"
            if of_gateway and _LEAVING in _demanded(str(labels.get(_CLASS)), None):
                yield resource, None
        elif at(config, "mode") == "gateway":
            class_ = str(at(config, "class"))
            if _LEAVING in _demanded(class_, _stated(subject, class_, at(config, "site"))):
                yield resource, config


def _stated(subject: Subject, class_: str, site: Any) -> Gateway | None:
    gateways = subject.platform.gateways if subject.platform else []
    return next((each for each in gateways if (each.class_, each.site) == (class_, site)), None)


def _demanded(class_: str, gateway: Gateway | None) -> frozenset[str]:
    """What is redacted of a class; of one that is not known, all that is redacted of any."""
    if gateway is not None:
        return demanded(gateway)
    known = [class_] if class_ in SENSITIVITIES else SENSITIVITIES
    return frozenset(each for one in known for each in handling.of(one).redacted)


def _redacts(subject: Subject) -> Iterator[Broken]:
    for resource, config in held(subject):
        if config is None:
            yield Broken(f"what {resource.name} redacts is not known yet", resource, "undecided")
            continue
        detector = at(config, "screening.detector")
        for name, said, so in _places(subject, resource, config):
            if so and said is False:
                yield Broken(
                    f"{resource.name} takes {name} to stand on its own site, and it does not: nothing is redacted",
                    resource,
                )
            elif so and unknown(detector):
                yield Broken(f"the detector of {resource.name} is not known yet", resource, "undecided")
            elif so and not detector:
                yield Broken(
                    f"{resource.name} sends prompts to {name}, beyond its site, as they come", resource
                )
            elif so is None and (said is None or said is False or not detector):
                where = f"whether {name} of {resource.name} stands on its site is not known"
                yield Broken(where, resource, "undecided")


def _places(
    subject: Subject, resource: Resource, config: Any
) -> Iterator[tuple[str, bool | None, bool | None]]:
    """Each place that requests may go to: its name, whether the configuration says that it lies beyond the site, and
    whether it does; None: it is not known."""
    class_, site = str(at(config, "class")), at(config, "site")
    for route in at(config, "routes") or []:
        others = at(route, "also")
        listed = [
            route,
            *(others if isinstance(others, list) else []),
            at(route, "canary"),
            at(route, "overflow"),
        ]
        for place in listed:
            if isinstance(place, dict):
                said = _said(place, site)
                so = _so(subject, resource, place, str(at(route, "workload")), class_, site, said)
                yield str(at(place, "server_name") or at(place, "url")), said, so


def _said(place: dict[str, Any], site: Any) -> bool | None:
    """As the gateway takes it (`edge.screening.Screeners`)."""
    where, target = at(place, "site"), at(place, "target")
    if unknown(where) or unknown(site) or (where is None and unknown(target)):
        return None
    return where != site if where is not None else target != "onprem-vllm"


def _so(
    subject: Subject,
    resource: Resource,
    place: dict[str, Any],
    workload: str,
    class_: str,
    site: Any,
    said: bool | None,
) -> bool | None:
    """A model server of the cluster is on its site; of what stands behind a translator the platform knows the site."""
    url = str(at(place, "url"))
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = url
    on_fargate = resource.type == _TASK
    if not on_fargate and not host.startswith(f"{class_}-translator."):
        return False if host.endswith(".svc") else said
    if subject.platform is None:
        # A task calls the translator of its own network; of a pod's nobody says where its models are.
        return False if on_fargate else (said or None)
    asked = str(at(place, "model")).removesuffix(f"--{workload}")
    found = [each for each in subject.platform.endpoints if each.id == asked]
    return found[0].site != site if found else (said or None)


RULES = (
    Rule(
        "data-path/redacts-what-leaves",
        "What leaves a gateway's site is redacted where its class's handling says so",
        "critical",
        (*fw.gdpr("Art. 25"), *fw.owasp("LLM02"), *fw.nist("AC-4"), *fw.iso_27001("A.8.11")),
        "Names, accounts and secrets in a prompt are another's once they have left",
        "State `screening` of the gateway, with a model for names, and the site of each place as it is",
        _redacts,
        (_CONFIG, _TASK),
    ),
)
