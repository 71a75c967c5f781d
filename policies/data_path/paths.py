"""The data path: from every workload, by its class, over gateway, network and identity, to where it is processed.

The ways themselves are found by `isthmus.graph.data_path.paths`; here each kind of way that is not allowed is a rule's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, get_args
from weakref import WeakKeyDictionary

from isthmus.contracts.reference import jurisdictions
from isthmus.contracts.vocabulary import Sensitivity
from isthmus.core.errors import IsthmusError
from isthmus.graph.data_path.paths import Finder, Found
from isthmus.graph.data_path.verdicts import Judge
from isthmus.graph.network import private_endpoints, routes, sagemaker_isolation
from isthmus.graph.network.reachability import CLASS
from isthmus.graph.resources.resources import Fault, Graph, Resource, place
from isthmus.graph.resources.sites import Places
from isthmus.graph.workloads import bedrock_calls, fargate_tasks, internet_exposure
from policies.inputs.declared import tag
from policies.inputs.documents import configurations
from policies.inputs.values import at, unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_FOUND: WeakKeyDictionary[Graph, tuple[object, object, Finder, list[Found]]] = WeakKeyDictionary()
"""Ways are found once for the rules that look at them."""


def _looked(subject: Subject) -> tuple[Finder, list[Found]]:
    known = _FOUND.get(subject.graph)
    if known is None or known[0] is not subject.platform or known[1] != subject.held:
        finder = Finder(subject.graph, subject.platform, held=subject.held)
        known = _FOUND[subject.graph] = (subject.platform, subject.held, finder, list(finder.found()))
    return known[2], known[3]


def _ways(subject: Subject, origin: str) -> list[Found]:
    """The ways of a kind that are not allowed."""
    return [each for each in _looked(subject)[1] if each.origin == origin and each.path.verdict != "allowed"]


def _said(ways: Iterable[Found], *, drawn: bool) -> Iterator[Broken]:
    """A finding for each reason and resource, however many pods it holds for; `drawn`: with the way itself."""
    seen: set[tuple[str, object]] = set()
    for way in ways:
        verdict = "undecided" if way.path.verdict == "undecided" else "violated"
        for why in [" and ".join(way.why)] if drawn else way.why:
            message = f"{' → '.join(hop.name for hop in way.path.hops)}: {why}" if drawn else why
            key = (message, way.resource and way.resource.urn)
            if key not in seen:
                seen.add(key)
                yield Broken(message, way.resource, verdict)


def of_faults(faults: Iterable[Fault]) -> Iterator[Broken]:
    """What the graph says of itself, as a rule says it."""
    return (Broken(each.text, each.resource, each.verdict) for each in faults)


def _stays(subject: Subject) -> Iterator[Broken]:
    return _said(_ways(subject, "gateway"), drawn=True)


def _own_network(subject: Subject) -> Iterator[Broken]:
    yield from _said(_ways(subject, "network"), drawn=False)
    gateways = subject.platform.gateways if subject.platform else []
    spaces = {each.class_ for each in gateways if each.runs_on == "kubernetes"}
    if "restricted" in spaces and not _looked(subject)[0].spaces("restricted"):
        yield Broken("there is no restricted namespace, and the platform has a restricted gateway")


def _one_identity(subject: Subject) -> Iterator[Broken]:
    return _said(_ways(subject, "identity"), drawn=False)


def _no_cloud_names(subject: Subject) -> Iterator[Broken]:
    return _said(_ways(subject, "host"), drawn=True)


def _endpoints_name(subject: Subject) -> Iterator[Broken]:
    known = routes.networks(subject.graph, subject.platform)
    networks = subject.platform.networks if subject.platform else []
    deployers = {role for network in networks for role in network.deployers}
    stated = subject.platform is not None
    return of_faults(private_endpoints.loose(subject.graph, known, stated=stated, deployers=deployers))


def _calls(subject: Subject) -> Iterator[Broken]:
    yield from of_faults(bedrock_calls.called_through_our_endpoints(subject.graph, subject.platform))
    yield from of_faults(fargate_tasks.identities(subject.graph))


def _internet(subject: Subject) -> Iterator[Broken]:
    return of_faults(
        internet_exposure.only_public_work_is_beside_the_internet(subject.graph, subject.platform)
    )


def _fargate(subject: Subject) -> Iterator[Broken]:
    return of_faults(fargate_tasks.gateways_keep_to_their_network(subject.graph, subject.platform))


def _hosted(subject: Subject) -> Iterator[Broken]:
    return of_faults(sagemaker_isolation.models_are_shut_in(subject.graph))


_GUARDRAIL = "aws:bedrock/guardrail:Guardrail"
_EVALUATED = {"us": "us", "us-gov": "us", "eu": "eu"}
"""Guardrail profiles by the first word of their names, and the geography that AWS keeps them in (Bedrock user guide,
"Supported Regions for cross-Region guardrail inference", read 2026-11). Of others several countries take part."""


def carried(subject: Subject) -> Iterator[tuple[Resource, Any, str, str, str]]:
    """Guardrails that are evaluated in other regions too: profile and its geography, where they stand, whose class.

    Left out is one of which nothing says where it stands or whose work it reads: there is nothing to hold it to."""
    places = Places(subject.graph, subject.platform)
    for guardrail in subject.graph.of(_GUARDRAIL):
        profile = at(guardrail.inputs, "crossRegionConfig.guardrailProfileIdentifier")
        if not profile:
            continue
        # Of an ARN the account may be unknown yet; the profile's own name says the geography.
        own = str(profile).rpartition("/")[2]
        word = "" if unknown(own) else own.partition(".")[0]
        geography, said = _EVALUATED.get(word, ""), tag(guardrail, CLASS)
        home = places.of(guardrail).jurisdiction or _of_region(guardrail)
        class_ = said if said in get_args(Sensitivity) else ""
        if home or class_ or not geography:
            yield guardrail, profile, geography, home, class_


def _guardrails_stay(subject: Subject) -> Iterator[Broken]:
    judge = Judge(subject.platform, None, subject.held)
    for guardrail, profile, geography, home, class_ in carried(subject):
        name = guardrail.name
        if not geography:
            said = f"{name} is evaluated by {profile}, and it is not known in which countries that is"
            yield Broken(said, guardrail, "undecided")
            continue
        if home and not jurisdictions.within(home, geography):
            yield Broken(f"{name} stands in {home}, and is evaluated in {geography}", guardrail)
        if class_:
            verdict = judge.residency(class_, "", {geography: name})  # type: ignore[arg-type]
            for why in verdict.why:
                yield Broken(why, guardrail, "undecided" if verdict.word == "undecided" else "violated")


def _of_region(resource: Resource) -> str:
    try:
        return jurisdictions.of_region(str(resource.inputs.get("region")))
    except IsthmusError:
        return ""


def _gateways_ask(subject: Subject) -> Iterator[Broken]:
    """Who stands behind a gateway, and whose certificates it takes beside that gateway's and its router's."""
    for resource, _, config in configurations(subject.graph):
        if at(config, "mode") not in ("sidecar", "translator"):
            continue
        in_cluster, class_ = resource.type.startswith("kubernetes:"), str(at(config, "class"))
        space = place(resource)[1] if in_cluster else ""
        known = _askers(subject, class_, space)
        for who in at(config, "allowed_clients") or []:
            if in_cluster and subject.platform is None:
                strange = not str(who).endswith(f".{space}.svc")
            else:
                strange = subject.platform is not None and str(who) not in known
            if strange:
                said = f"{resource.name} answers {who}, which is no gateway of {class_} work's"
                yield Broken(said, resource, "undecided" if unknown(who) else "violated")


def _askers(subject: Subject, class_: str, space: str) -> set[str]:
    """The names in certificates of a class's gateways, and of the routers between them and their models."""
    found: set[str] = set()
    for gateway in subject.platform.gateways if subject.platform else []:
        if gateway.class_ == class_:
            found |= {f"{class_}-gateway.{space}.svc"} if space else {gateway.host}
            found |= {f"{gateway.router.service}.{space}.svc"} if gateway.router and space else set()
    return found


RULES = (
    Rule(
        id="data-path/gateways-alone-ask",
        title="Model servers and translators answer their class's gateway, and nobody past it",
        severity="high",
        supports=(
            *fw.nist("AC-3", "IA-9"),
            *fw.owasp("LLM06"),
            *fw.atlas("AML.M0019"),
            *fw.iso_27001("A.8.3"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="Whoever is answered past the gateway is redacted by nobody, counted by nobody and in no record",
        fix="Name the class's gateway, and its router where there is one, in allowed_clients",
        check=_gateways_ask,
    ),
    Rule(
        id="data-path/guardrails-stay",
        title="Guardrails are evaluated where their class's work may be",
        severity="critical",
        supports=(*fw.gdpr("Chapter V"), *fw.nist("AC-4")),
        why="A guardrail reads whole prompts and answers, wherever a region of its profile has room",
        fix="Take crossRegionConfig away, or name a profile of the residency's own geography",
        check=_guardrails_stay,
        each=(_GUARDRAIL,),
    ),
    Rule(
        id="data-path/stays-where-it-may",
        title="A class's requests end where its handling and residency let them",
        severity="critical",
        supports=(*fw.gdpr("Chapter V"), *fw.nist("AC-4"), *fw.owasp("LLM02"), *fw.iso_27001("A.8.12")),
        why="A route or a model that leads elsewhere takes every prompt of the class with it",
        fix="Send the workload to an endpoint, a profile and a region that its class may use",
        check=_stays,
    ),
    Rule(
        id="data-path/own-network",
        title="A class's pods and tasks reach the sites, their own networks and their own class, and nothing else",
        severity="critical",
        supports=(
            *fw.nist("AC-4", "SC-7"),
            *fw.pci("1.3.2"),
            *fw.cis_kubernetes("5.3.2"),
            *fw.iso_27001("A.8.12", "A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="What a network policy lets out, a program or a person in the namespace can send out",
        fix="Take the rule back, or narrow it to addresses of the site or to the class's own private endpoints",
        check=_own_network,
    ),
    Rule(
        id="data-path/no-cloud-names",
        title="No pod of a class is told a cloud's name that it may not call",
        severity="high",
        supports=(*fw.nist("AC-4"), *fw.gdpr("Chapter V")),
        why="A program that knows a cloud's name is one opened port away from sending it the class's data",
        fix="Call models through the class's gateway, and AWS by a private endpoint of the class's translator",
        check=_no_cloud_names,
    ),
    Rule(
        id="identity/translators-only",
        title="Translators and sealers alone have an AWS identity, and restricted work has none",
        severity="critical",
        supports=(
            *fw.nist("AC-3", "AC-6"),
            *fw.nist_171("3.1.5"),
            *fw.iso_27001("A.5.15"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="Whoever bears an identity can call what it may, past the gateway that redacts and records",
        fix="Take the role, the association or the annotation away from this service account",
        check=_one_identity,
    ),
    Rule(
        id="data-path/private-endpoints",
        title="Private endpoints let in named callers for named calls, from our networks",
        severity="high",
        supports=(
            *fw.nist("AC-3", "SC-7"),
            *fw.pci("1.3.1"),
            *fw.iso_27001("A.8.20"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="An endpoint that names nobody lets any account's credentials carry data out through it",
        fix="Name role, action and resource in its policy, and the site's networks in its security group",
        check=_endpoints_name,
    ),
    Rule(
        id="data-path/calls-by-private-endpoints",
        title="Translators call AWS at private endpoints of ours that let them in by name",
        severity="critical",
        supports=(
            *fw.nist("SC-7", "AC-4"),
            *fw.pci("1.3.2"),
            *fw.iso_27001("A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="A call by the public name leaves by the internet, and no policy of ours stands in its way",
        fix="Give the model the endpoint_url of our private endpoint, and name the role in that endpoint's policy",
        check=_calls,
    ),
    Rule(
        id="data-path/no-way-to-the-internet",
        title="Only public work lies beside the internet",
        severity="critical",
        supports=(
            *fw.nist("SC-7"),
            *fw.pci("1.3.2", "1.4.2"),
            *fw.iso_27001("A.8.12", "A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="A gateway, a peering or a route out of a network is a way out for all that stands in it",
        fix="Remove it, or give public work a network of its own that the platform states as `internet: true`",
        check=_internet,
    ),
    Rule(
        id="data-path/fargate-network",
        title="Gateways on Fargate open to named networks and to each other, and nothing else",
        severity="high",
        supports=(*fw.nist("SC-7"), *fw.pci("1.3.1"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        why="A task or a load balancer that is open further answers callers whom nobody named",
        fix="Name the clients' networks in the gateway's `fargate.clients`, and leave the rest to our groups",
        check=_fargate,
    ),
    Rule(
        id="data-path/hosted-models",
        title="Models on SageMaker are shut in, and keep what they may",
        severity="high",
        supports=(
            *fw.fsbp("SageMaker.5"),
            *fw.checkov("CKV_AWS_370"),
            *fw.nist("SC-7"),
            *fw.iso_27001("A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="A model's container is another's code: with a way out it can send the prompts that it serves",
        fix="Isolate the model, put it into private subnets behind groups that let nobody in, and pin its image",
        check=_hosted,
    ),
)
