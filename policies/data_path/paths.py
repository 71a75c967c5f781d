"""Rules for data paths: from each workload over gateway, network and identity to where it is processed.

`isthmus.graph.data_path.paths` finds the paths. Each rule here reports one kind of path that is not allowed.
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
from isthmus.graph.resources.resources import Fault, Graph, Resource, name_and_namespace
from isthmus.graph.resources.sites import Places
from isthmus.graph.workloads import bedrock_calls, fargate_tasks, internet_exposure
from policies.inputs.applications import namespaces_that_resolve
from policies.inputs.declared import tag
from policies.inputs.documents import gateway_configurations
from policies.inputs.own_networks import networks_apart
from policies.inputs.pods import pods
from policies.inputs.selectors import first_of_rows, stack_with
from policies.inputs.values import at, is_unknown
from policies.rules import frameworks as fw
from policies.rules.rule import Applicable, Rule, Subject, Violation

_ROUTES: WeakKeyDictionary[Graph, tuple[object, object, Finder, list[Found]]] = WeakKeyDictionary()
"""Paths are found once and shared by the rules."""


def _find_routes(subject: Subject) -> tuple[Finder, list[Found]]:
    cached = _ROUTES.get(subject.graph)
    # A change is judged twice on one graph: by its own trust file, and by its base's.
    resolving = namespaces_that_resolve(subject)
    question = (subject.raised_sensitivities, resolving)
    if cached is None or cached[0] is not subject.platform or cached[1] != question:
        finder = Finder(
            subject.graph,
            subject.platform,
            stricter_classes=subject.raised_sensitivities,
            resolving=resolving,
        )
        cached = _ROUTES[subject.graph] = (subject.platform, question, finder, list(finder.found()))
    return cached[2], cached[3]


def _forbidden_routes(subject: Subject, origin: str) -> list[Found]:
    """The paths of one origin (`gateway`, `network`, `identity`, `host`) that are not allowed."""
    return [
        route
        for route in _find_routes(subject)[1]
        if route.origin == origin and route.path.verdict != "allowed"
    ]


def _violations_of_routes(routes: Iterable[Found], *, with_path: bool) -> Iterator[Violation]:
    """One violation for each reason and resource, however many pods it applies to.

    `with_path`: the message starts with the hops of the path.
    """
    reported: set[tuple[str, object]] = set()
    for route in routes:
        verdict = "undecided" if route.path.verdict == "undecided" else "violated"
        for why in [" and ".join(route.why)] if with_path else route.why:
            message = f"{' → '.join(hop.name for hop in route.path.hops)}: {why}" if with_path else why
            key = (message, route.resource and route.resource.urn)
            if key not in reported:
                reported.add(key)
                yield Violation(message, route.resource, verdict)


def violations_from_faults(faults: Iterable[Fault]) -> Iterator[Violation]:
    """Turns faults of the graph's own checks into violations."""
    return (Violation(fault.text, fault.resource, fault.verdict) for fault in faults)


def _check_stays(subject: Subject) -> Iterator[Violation]:
    return _violations_of_routes(_forbidden_routes(subject, "gateway"), with_path=True)


def _stack_with_configurations(subject: Subject) -> Applicable:
    """The stack as a whole, if it has edge configurations."""
    return [None] if list(gateway_configurations(subject.graph)) else []


def _check_own_network(subject: Subject) -> Iterator[Violation]:
    yield from _violations_of_routes(_forbidden_routes(subject, "network"), with_path=False)
    gateways = subject.platform.gateways if subject.platform else []
    sensitivities = {gateway.class_ for gateway in gateways if gateway.runs_on == "kubernetes"}
    if "restricted" in sensitivities and not _find_routes(subject)[0].spaces("restricted"):
        yield Violation("the stack has no restricted namespace, but the platform has a restricted gateway")


def _stack_with_workloads(subject: Subject) -> Applicable:
    """The stack as a whole, if it has pods or tasks."""
    tasks = subject.graph.of("aws:ecs/taskDefinition:TaskDefinition")
    return [None] if pods(subject.graph) or any(True for _ in tasks) else []


def _check_identities(subject: Subject) -> Iterator[Violation]:
    return _violations_of_routes(_forbidden_routes(subject, "identity"), with_path=False)


def _check_cloud_names(subject: Subject) -> Iterator[Violation]:
    return _violations_of_routes(_forbidden_routes(subject, "host"), with_path=True)


def _check_private_endpoints(subject: Subject) -> Iterator[Violation]:
    known_networks = routes.networks(subject.graph, subject.platform)
    networks = subject.platform.networks if subject.platform else []
    deployers = {role for network in networks for role in network.deployers}
    has_platform = subject.platform is not None
    return violations_from_faults(
        private_endpoints.overly_open_endpoints(
            subject.graph, known_networks, networks_are_known=has_platform, deployers=deployers
        )
    )


def _check_calls(subject: Subject) -> Iterator[Violation]:
    yield from violations_from_faults(
        bedrock_calls.called_through_our_endpoints(subject.graph, subject.platform)
    )
    yield from violations_from_faults(fargate_tasks.identity_faults(subject.graph))


def _stack_with_models(subject: Subject) -> Applicable:
    """The stack as a whole, if an edge configuration names models."""
    configs = (config for _, _, config in gateway_configurations(subject.graph))
    return [None] if any(at(config, "models") for config in configs) else []


def _check_internet(subject: Subject) -> Iterator[Violation]:
    return violations_from_faults(
        internet_exposure.only_public_work_is_beside_the_internet(
            subject.graph, subject.platform, networks_apart(subject)
        )
    )


def _check_fargate(subject: Subject) -> Iterator[Violation]:
    return violations_from_faults(
        fargate_tasks.gateways_keep_to_their_network(subject.graph, subject.platform)
    )


def _check_hosted_models(subject: Subject) -> Iterator[Violation]:
    return violations_from_faults(sagemaker_isolation.models_are_isolated(subject.graph))


_GUARDRAIL = "aws:bedrock/guardrail:Guardrail"
_PROFILE_GEOGRAPHIES = {"us": "us", "us-gov": "us", "eu": "eu"}
"""Geography of a guardrail profile by the prefix of its name (Bedrock user guide,
"Supported Regions for cross-Region guardrail inference", read 2026-11). Other profiles span several countries."""


def _cross_region_guardrails(subject: Subject) -> Iterator[tuple[Resource, Any, str, str, str]]:
    """Guardrails with cross-region inference: resource, profile, its geography, home jurisdiction, class.

    Guardrails without a known home and class are left out if the geography is known: nothing could be compared.
    """
    places = Places(subject.graph, subject.platform)
    for guardrail in subject.graph.of(_GUARDRAIL):
        profile = at(guardrail.inputs, "crossRegionConfig.guardrailProfileIdentifier")
        if not profile:
            continue
        # The account of the ARN may be unknown; the name of the profile tells the geography.
        profile_name = str(profile).rpartition("/")[2]
        prefix = "" if is_unknown(profile_name) else profile_name.partition(".")[0]
        geography, tagged = _PROFILE_GEOGRAPHIES.get(prefix, ""), tag(guardrail, CLASS)
        home = places.of(guardrail).jurisdiction or _jurisdiction_of_region(guardrail)
        sensitivity = tagged if tagged in get_args(Sensitivity) else ""
        if home or sensitivity or not geography:
            yield guardrail, profile, geography, home, sensitivity


def _check_guardrail_regions(subject: Subject) -> Iterator[Violation]:
    judge = Judge(subject.platform, None, subject.raised_sensitivities)
    for guardrail, profile, geography, home, sensitivity in _cross_region_guardrails(subject):
        name = guardrail.name
        if not geography:
            problem = f"{name} is evaluated by {profile}, whose countries are not known"
            yield Violation(problem, guardrail, "undecided")
            continue
        if home and not jurisdictions.is_within(home, geography):
            yield Violation(f"{name} is in {home}, but is evaluated in {geography}", guardrail)
        if sensitivity:
            verdict = judge.residency(sensitivity, "", {geography: name})  # type: ignore[arg-type]
            for why in verdict.why:
                yield Violation(why, guardrail, "undecided" if verdict.word == "undecided" else "violated")


def _jurisdiction_of_region(resource: Resource) -> str:
    try:
        return jurisdictions.region_jurisdiction(str(resource.inputs.get("region")))
    except IsthmusError:
        return ""


def _check_clients(subject: Subject) -> Iterator[Violation]:
    """Reports servers behind a gateway that accept certificates of other clients than the gateway and its router."""
    for resource, _, config in gateway_configurations(subject.graph):
        if at(config, "mode") not in ("sidecar", "translator"):
            continue
        in_cluster, sensitivity = resource.type.startswith("kubernetes:"), str(at(config, "class"))
        namespace = name_and_namespace(resource)[1] if in_cluster else ""
        allowed_names = _gateway_names(subject, sensitivity, namespace)
        for client in at(config, "allowed_clients") or []:
            if in_cluster and subject.platform is None:
                is_foreign = not str(client).endswith(f".{namespace}.svc")
            else:
                is_foreign = subject.platform is not None and str(client) not in allowed_names
            if is_foreign:
                problem = (
                    f"{resource.name} accepts client {client}, which is not a gateway of class {sensitivity}"
                )
                yield Violation(problem, resource, "undecided" if is_unknown(client) else "violated")


def _configurations_with_clients(subject: Subject) -> Iterator[Resource]:
    """Configurations with allowed_clients whose gateway is known from the platform or their own namespace."""
    for resource, _, config in gateway_configurations(subject.graph):
        gateway_is_known = subject.platform is not None or resource.type.startswith("kubernetes:")
        if (
            gateway_is_known
            and at(config, "mode") in ("sidecar", "translator")
            and at(config, "allowed_clients")
        ):
            yield resource


def _gateway_names(subject: Subject, sensitivity: str, namespace: str) -> set[str]:
    """Certificate names of a class's gateways, and of the routers between them and their models."""
    names: set[str] = set()
    for gateway in subject.platform.gateways if subject.platform else []:
        if gateway.class_ == sensitivity:
            names |= {f"{sensitivity}-gateway.{namespace}.svc"} if namespace else {gateway.host}
            names |= {f"{gateway.router.service}.{namespace}.svc"} if gateway.router and namespace else set()
    return names


RULES = (
    Rule(
        id="data-path/gateways-alone-ask",
        title="Model servers and translators answer only their class's gateway",
        severity="high",
        supports=(
            *fw.nist("AC-3", "IA-9"),
            *fw.owasp("LLM06"),
            *fw.atlas("AML.M0019"),
            *fw.iso_27001("A.8.3"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="Requests that bypass the gateway are not redacted, counted or recorded",
        fix="Set allowed_clients to the class's gateway, and to its router if it has one",
        check=_check_clients,
        applies_to=_configurations_with_clients,
    ),
    Rule(
        id="data-path/guardrails-stay",
        title="Guardrails are evaluated only where their class may be processed",
        severity="critical",
        supports=(*fw.gdpr("Chapter V"), *fw.nist("AC-4")),
        why="A guardrail reads whole prompts and answers, in any region of its profile",
        fix="Remove crossRegionConfig, or use a guardrail profile of the class's own geography",
        check=_check_guardrail_regions,
        resource_types=(_GUARDRAIL,),
        applies_to=first_of_rows(_cross_region_guardrails),
    ),
    Rule(
        id="data-path/stays-where-it-may",
        title="Requests of a class go only where its handling and residency allow",
        severity="critical",
        supports=(*fw.gdpr("Chapter V"), *fw.nist("AC-4"), *fw.owasp("LLM02"), *fw.iso_27001("A.8.12")),
        why="A wrong route or model sends every prompt of the class there",
        fix="Route the workload to an endpoint, a profile and a region that its class may use",
        check=_check_stays,
        applies_to=_stack_with_configurations,
    ),
    Rule(
        id="data-path/own-network",
        title="Pods and tasks of a class reach only the sites, their own networks and their own class",
        severity="critical",
        supports=(
            *fw.nist("AC-4", "SC-7"),
            *fw.pci("1.3.2"),
            *fw.cis_kubernetes("5.3.2"),
            *fw.iso_27001("A.8.12", "A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="Any program or person in the namespace can send data where a network policy allows egress",
        fix="Remove the rule, or narrow it to addresses of the site or the class's own private endpoints",
        check=_check_own_network,
        applies_to=_stack_with_workloads,
    ),
    Rule(
        id="data-path/no-cloud-names",
        title="No pod of a class is configured with a cloud host name that it may not call",
        severity="high",
        supports=(*fw.nist("AC-4"), *fw.gdpr("Chapter V")),
        why="A program that knows a cloud host name needs only one open port to send it the class's data",
        fix="Call models through the class's gateway, and AWS through a private endpoint of the class's translator",
        check=_check_cloud_names,
        applies_to=_stack_with_workloads,
    ),
    Rule(
        id="identity/translators-only",
        title="Only translators and sealers have an AWS identity, and restricted work has none",
        severity="critical",
        supports=(
            *fw.nist("AC-3", "AC-6"),
            *fw.nist_171("3.1.5"),
            *fw.iso_27001("A.5.15"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="An AWS identity can call services without passing the gateway, which redacts and records",
        fix="Remove the role, the association or the annotation from this service account",
        check=_check_identities,
        applies_to=_stack_with_workloads,
    ),
    Rule(
        id="data-path/private-endpoints",
        title="Private endpoints allow only named callers, named calls and our networks",
        severity="high",
        supports=(
            *fw.nist("AC-3", "SC-7"),
            *fw.pci("1.3.1"),
            *fw.iso_27001("A.8.20"),
            *fw.dora("Art. 9(4)(c)"),
        ),
        why="Through an endpoint without such a policy, credentials of any account can carry data out",
        fix="Name role, action and resource in the endpoint's policy, and the site's networks in its security group",
        check=_check_private_endpoints,
        applies_to=stack_with("aws:ec2/vpcEndpoint:VpcEndpoint"),
    ),
    Rule(
        id="data-path/calls-by-private-endpoints",
        title="Translators call AWS through our private endpoints, which name them",
        severity="critical",
        supports=(
            *fw.nist("SC-7", "AC-4"),
            *fw.pci("1.3.2"),
            *fw.iso_27001("A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="A call to the public name leaves over the internet, and none of our policies can stop it",
        fix="Set the model's endpoint_url to our private endpoint, and name the role in that endpoint's policy",
        check=_check_calls,
        applies_to=_stack_with_models,
    ),
    Rule(
        id="data-path/no-way-to-the-internet",
        title="Only public work has a route to the internet",
        severity="critical",
        supports=(
            *fw.nist("SC-7"),
            *fw.pci("1.3.2", "1.4.2"),
            *fw.iso_27001("A.8.12", "A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="An internet gateway, a peering or a route gives everything in the network a way out",
        fix="Remove the way; only a network of public work alone may have `internet: true`",
        check=_check_internet,
        applies_to=stack_with("aws:ec2/vpc:Vpc"),
    ),
    Rule(
        id="data-path/fargate-network",
        title="Gateways on Fargate accept only named networks and each other",
        severity="high",
        supports=(*fw.nist("SC-7"), *fw.pci("1.3.1"), *fw.iso_27001("A.8.22"), *fw.dora("Art. 9(4)(b)")),
        why="A task or load balancer that is open further answers callers that nobody named",
        fix=(
            "Set the clients' networks in the gateway's `fargate.clients` and those of a Prometheus in "
            "`fargate.scrapers`, and leave the rest to the security groups that Isthmus makes"
        ),
        check=_check_fargate,
        applies_to=stack_with("aws:ecs/service:Service"),
    ),
    Rule(
        id="data-path/hosted-models",
        title="Models on SageMaker are isolated, and store only what they may",
        severity="high",
        supports=(
            *fw.fsbp("SageMaker.5"),
            *fw.checkov("CKV_AWS_370"),
            *fw.nist("SC-7"),
            *fw.iso_27001("A.8.22"),
            *fw.dora("Art. 9(4)(b)"),
        ),
        why="A model container runs third-party code, which could send out the prompts that it serves",
        fix="Isolate the model, put it into private subnets with security groups without ingress, and pin its image",
        check=_check_hosted_models,
        applies_to=stack_with("aws:sagemaker/model:Model"),
    ),
)
