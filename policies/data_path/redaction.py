"""The data path's redaction: what a class's handling has redacted before it leaves its gateway's site, and in answers.

Where a place stands is taken from what stands behind it and not from what the configuration says of itself: the gateway
redacts by that word, so a wrong one opens the way as much as no redaction at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.platform.lookups.gateways import demanded
from isthmus.contracts.platform.model.platform import Gateway
from isthmus.contracts.platform.model.screening import LEAVING, SECRETS
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES
from isthmus.graph.resources.resources import Resource
from policies.inputs.declared import tag
from policies.inputs.documents import configurations, containers
from policies.inputs.values import at, listed, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_CONFIG, _TASK = "kubernetes:core/v1:ConfigMap", "aws:ecs/taskDefinition:TaskDefinition"
_ROLE, _CLASS = "isthmus.dev/role", "isthmus.dev/class"


def held(subject: Subject, what: handling.Redaction) -> Iterator[tuple[Resource, Any]]:
    """Gateways of classes for which so much is redacted; None: the configuration cannot be read."""
    for resource, _, config in configurations(subject.graph):
        if config is None:
            class_ = _unread(resource)
            if class_ is not None and what in _demanded(class_, None):
                yield resource, None
        elif at(config, "mode") == "gateway":
            class_ = str(at(config, "class"))
            if what in _demanded(class_, _stated(subject, class_, at(config, "site"))):
                yield resource, config


def _unread(resource: Resource) -> str | None:
    """The class of a gateway that cannot be read; None: it is no gateway. A task that knows callers is one."""
    if resource.type != _TASK:
        labels = at(resource.inputs, "metadata.labels") or {}
        return str(labels.get(_CLASS)) if labels.get(_ROLE) == "gateway" else None
    given = [at(one, "name") for box in containers(resource) or [] for one in listed(at(box, "secrets"))]
    return tag(resource, _CLASS) if "EDGE_CALLERS" in given else None


def _stated(subject: Subject, class_: str, site: Any) -> Gateway | None:
    gateways = subject.platform.gateways if subject.platform else []
    return next((each for each in gateways if (each.class_, each.site) == (class_, site)), None)


def _demanded(class_: str, gateway: Gateway | None) -> frozenset[str]:
    """What is redacted of a class; of one that is not known, all that is redacted of any."""
    if gateway is not None:
        return demanded(gateway)
    known = [class_] if class_ in SENSITIVITIES else SENSITIVITIES
    return frozenset(each for one in known for each in handling.of(one).redacted)


def _looks(config: Any, what: handling.Redaction) -> Any:
    """The detector by which a gateway redacts that; beside what its class demands, it must be told of it."""
    detector, more = at(config, "screening.detector"), at(config, "screening.redacted")
    if not detector or what in _demanded(str(at(config, "class")), None) or what in listed(more):
        return detector
    return more if unknown(more) else None


def _redacts(subject: Subject) -> Iterator[Broken]:
    for resource, config in held(subject, LEAVING):
        if config is None or unknown(at(config, "routes")):
            yield Broken(f"what {resource.name} redacts is not known yet", resource, "undecided")
            continue
        detector = _looks(config, LEAVING)
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


def _answers(subject: Subject) -> Iterator[Broken]:
    for resource, config in held(subject, SECRETS):
        detector = _looks(config, SECRETS)
        if config is None or unknown(detector):
            yield Broken(
                f"who looks through answers of {resource.name} is not known yet", resource, "undecided"
            )
        elif not detector and resource.type == _TASK:
            yield from _guarded(subject, resource, config)
        elif not detector:
            yield Broken(f"nobody looks for secrets in answers of {resource.name}", resource)


def _guarded(subject: Subject, resource: Resource, config: Any) -> Iterator[Broken]:
    """Beside a task nothing stands, so a guardrail of Bedrock's must look; what it blocks, `guardrail/personal-data`
    says."""
    if unknown(at(config, "routes")):
        yield Broken(f"who answers for {resource.name} is not known yet", resource, "undecided")
    for workload, place in _ways(config):
        models = [each for each in _behind(subject, config, place) if at(each, "name") == at(place, "model")]
        if not models or any(unknown(at(each, "provider")) for each in models):
            said = f"who looks through answers of {workload} at {resource.name} is not known"
            yield Broken(said, resource, "undecided")
        elif not all(at(each, "guardrail") and at(each, "provider") != "sagemaker" for each in models):
            said = f"nobody looks for secrets in answers of {workload} at {resource.name}: no guardrail does"
            yield Broken(said, resource)


def _behind(subject: Subject, config: Any, place: Any) -> Iterator[Any]:
    """Models of the translator that a task's gateway calls: of its class, by the domain in both certificates."""
    domain = str(at(place, "server_name")).partition(".")[2]
    for resource, _, other in configurations(subject.graph):
        asks = [str(each).partition(".")[2] for each in listed(at(other, "allowed_clients"))]
        same = resource.type == _TASK and at(other, "class") == at(config, "class")
        if same and at(other, "mode") == "translator" and domain in asks:
            yield from listed(at(other, "models"))


def _places(
    subject: Subject, resource: Resource, config: Any
) -> Iterator[tuple[str, bool | None, bool | None]]:
    """Each place that requests may go to: its name, whether the configuration says that it lies beyond the site, and
    whether it does; None: it is not known."""
    class_, site = str(at(config, "class")), at(config, "site")
    for workload, place in _ways(config):
        said = _said(place, site)
        so = _so(subject, resource, place, workload, class_, site, said)
        yield str(at(place, "server_name") or at(place, "url")), said, so


def _ways(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each workload, and a place that its requests may go to."""
    for route in listed(at(config, "routes")):
        others = [at(route, "canary"), at(route, "overflow")]
        for place in [route, *listed(at(route, "also")), *others]:
            if isinstance(place, dict):
                yield str(at(route, "workload")), place


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
    Rule(
        "data-path/redacts-secrets-in-answers",
        "Secrets in answers are looked for where the class's handling has them redacted",
        "high",
        (*fw.owasp("LLM02"), *fw.gdpr("Art. 25"), *fw.nist("AC-4"), *fw.iso_27001("A.8.11", "A.8.12")),
        "A key that a model was told, or has learnt, is had by whoever asks for it",
        "State `screening: {}` of the gateway; on Fargate, serve it by Bedrock behind a guardrail",
        _answers,
        (_CONFIG, _TASK),
    ),
)
