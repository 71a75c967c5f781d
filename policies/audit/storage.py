"""Audit: records are made, sealed write-once, kept long enough, and hold no prompts that they may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference import handling
from isthmus.graph.resources.resources import Graph, Resource
from policies.encryption.at_rest import BUCKETS, attached
from policies.inputs.links import referred
from policies.inputs.pods import of_box, pods
from policies.inputs.values import at, unknown
from policies.network.exposure import networks_made
from policies.rules import frameworks as fw
from policies.rules.rule import Broken, Rule, Subject

_TRAIL = "aws:cloudtrail/trail:Trail"
LOGGING = ("aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",)
_GROUP = "aws:cloudwatch/logGroup:LogGroup"
LOCK = ":BucketObjectLockConfiguration"
_CONTENT = (
    "textDataDeliveryEnabled",
    "imageDataDeliveryEnabled",
    "embeddingDataDeliveryEnabled",
    "videoDataDeliveryEnabled",
)
_MANDATORY = ("AWS::Bedrock::Guardrail", "AWS::Bedrock::Model")
HOSTED = "aws:sagemaker/endpoint:Endpoint"
_HOSTED_CALLS = "AWS::SageMaker::Endpoint"
LIFECYCLE = (":BucketLifecycleConfiguration", ":BucketLifecycleConfigurationV2")
_PROMPTS = ("--enable-log-requests", "--enable-log-outputs", "--log-requests")
"""Flags by which vLLM writes prompts or answers into its log."""


def bedrock(graph: Graph) -> list[Resource]:
    """What shows that Bedrock is called: guardrails, profiles, agents, throughput; not their logging."""
    return [
        each
        for each in graph.resources
        if each.type.startswith(("aws:bedrock/", "aws:bedrockfoundation/")) and each.type not in LOGGING
    ]


def region(resource: Resource) -> str:
    return str(resource.inputs.get("region") or "")


def _sees_bedrock(subject: Subject) -> Iterator[Broken]:
    trails = list(subject.graph.of(_TRAIL))
    # A platform's trail is its whole account's: others may call Bedrock there, whatever is made here.
    wanted: list[str] = list(_MANDATORY) if subject.platform is not None or bedrock(subject.graph) else []
    if any(subject.graph.of(HOSTED)):
        wanted.append(_HOSTED_CALLS)
    if not trails or not wanted:
        return
    seen: set[str] = set()
    for trail in trails:
        selectors = trail.inputs.get("advancedEventSelectors")
        if unknown(selectors):
            yield Broken(f"what {trail.name} records is not known before the change", trail, "undecided")
            return
        for selector in selectors or []:
            seen |= set(_data_events(selector))
    missing = [type_ for type_ in wanted if type_ not in seen]
    if missing:
        yield Broken(f"{trails[0].name} leaves out data events of {', '.join(missing)}", trails[0])


def _data_events(selector: Any) -> Iterator[str]:
    """The types whose data events a selector records whole: a further field would narrow it."""
    fields = {at(each, "field"): at(each, "equals") or [] for each in at(selector, "fieldSelectors") or []}
    if set(fields) == {"eventCategory", "resources.type"} and fields["eventCategory"] == ["Data"]:
        yield from map(str, fields["resources.type"])


def _sealed(subject: Subject) -> Iterator[Broken]:
    for bucket in record_buckets(subject.graph):
        locks = [at(each.inputs, "rule.defaultRetention") for each in attached(subject.graph, bucket, LOCK)]
        inline = at(bucket.inputs, "objectLockConfiguration.rule.defaultRetention")
        locks += [inline] if inline else []
        modes = [at(each, "mode") for each in locks]
        if any(map(unknown, [*locks, *modes])):
            yield Broken(f"how {bucket.name} is locked is not known yet", bucket, "undecided")
        elif "COMPLIANCE" not in modes:
            said = f"locked in {modes[0]} mode only" if modes and modes[0] else "not locked"
            yield Broken(f"{bucket.name} holds the trail and is {said}", bucket)
        versions = [
            at(each.inputs, "versioningConfiguration.status")
            for each in attached(subject.graph, bucket, ":BucketVersioning", ":BucketVersioningV2")
        ]
        if any(each in ("Suspended", "Disabled") for each in versions):
            yield Broken(f"{bucket.name} holds the trail and keeps no versions", bucket)


def record_buckets(graph: Graph) -> list[Resource]:
    """Buckets that a trail writes to."""
    found: dict[str, Resource] = {}
    for trail in graph.of(_TRAIL):
        name = trail.inputs.get("s3BucketName")
        for bucket in graph.of(*BUCKETS):
            if bucket in graph.referred(name, ":Bucket") or (name and name == bucket.inputs.get("bucket")):
                found[bucket.urn] = bucket
    return list(found.values())


def _least_days(platform: Platform | None, class_: str = "") -> int:
    """Days that the records of a class, or of the strictest that uses AWS, are kept at least."""
    if class_:
        months = handling.of(class_).records_months_min
    elif platform is not None:
        kinds = {site.name: site.kind for site in platform.sites}
        stores = [each.retention_days for each in platform.audit if kinds.get(each.site) == "aws"]
        return max(stores, default=0)
    else:
        return 0
    return months * 30


def _kept(subject: Subject) -> Iterator[Broken]:
    least = subject.settings.figures.log_days_min
    for group in subject.graph.of(_GROUP):
        class_ = str((group.inputs.get("tags") or {}).get("isthmus.dev/class", ""))
        wanted = max(least, _least_days(None, class_) if class_ in handling.HANDLING else 0)
        days = group.inputs.get("retentionInDays")
        if unknown(days):
            yield Broken(f"how long {group.name} keeps is not known yet", group, "undecided")
        elif not days:
            yield Broken(f"{group.name} keeps for ever: nobody said how long it must", group)
        elif isinstance(days, int | float) and days < wanted:
            yield Broken(f"{group.name} keeps {days:g} days, and {wanted} are the least", group)


def _locked_long_enough(subject: Subject) -> Iterator[Broken]:
    wanted = max(subject.settings.figures.log_days_min, _least_days(subject.platform))
    for bucket in record_buckets(subject.graph):
        for lock in attached(subject.graph, bucket, LOCK):
            said = at(lock.inputs, "rule.defaultRetention")
            days, years = at(said, "days"), at(said, "years")
            if any(map(unknown, (said, days, years))):
                yield Broken(f"how long {lock.name} locks is not known yet", lock, "undecided")
                continue
            locked = (days or 0) + 365 * (years or 0)
            if locked < wanted:
                yield Broken(
                    f"{lock.name} locks records for {locked:g} days, and {wanted} are the least", lock
                )
            yield from _hidden_while_locked(subject.graph, bucket, locked)


def _hidden_while_locked(graph: Graph, bucket: Resource, locked: float) -> Iterator[Broken]:
    """Lifecycle rules that hide records whose lock still holds: S3 lays a delete marker over a locked record too."""
    for lifecycle in attached(graph, bucket, *LIFECYCLE):
        rules = lifecycle.inputs.get("rules")
        if unknown(rules):
            yield Broken(f"what {lifecycle.name} expires is not known yet", lifecycle, "undecided")
            continue
        for rule in rules or []:
            days, date = at(rule, "expiration.days"), at(rule, "expiration.date")
            if at(rule, "status") == "Disabled":
                continue
            if unknown(days) or unknown(date):
                yield Broken(f"when {lifecycle.name} expires records is not known", lifecycle, "undecided")
            elif date:
                yield Broken(
                    f"{lifecycle.name} hides records at a date, however long they are locked", lifecycle
                )
            elif days and days <= locked:
                yield Broken(
                    f"{lifecycle.name} hides records after {days:g} days, and they are locked for {locked:g}",
                    lifecycle,
                    patch=f"rules: expiration.days={locked + 1:g}",
                )


def _calls_logged(subject: Subject) -> Iterator[Broken]:
    used = bedrock(subject.graph)
    logged = {region(each) for each in subject.graph.of(*LOGGING)}
    if subject.platform is not None:
        elsewhere = {one.site for one in subject.platform.invocation_logging if one.mode == "existing"}
        logged |= {str(site.region) for site in subject.platform.sites if site.name in elsewhere}
    told: set[str] = set()
    for each in used:
        where = region(each)
        if where not in logged and "" not in logged and where not in told:
            told.add(where)
            yield Broken(f"{each.name} serves in {where or 'its region'}, where no call is logged", each)


def _no_content(subject: Subject) -> Iterator[Broken]:
    allowed = _content_allowed(subject.platform)
    for config in subject.graph.of(*LOGGING):
        said = config.inputs.get("loggingConfig")
        if unknown(said):
            yield Broken(f"what {config.name} logs is not known before the change", config, "undecided")
            continue
        for kind in _CONTENT:
            value = at(said, kind)
            if unknown(value):
                yield Broken(f"{config.name}: {kind} is not known before the change", config, "undecided")
            elif value is not False and region(config) not in allowed:
                # On by default: a line left away logs whole prompts.
                yield Broken(
                    f"{config.name} logs prompts and answers ({kind})", config, patch=f"{kind}=False"
                )
    for pod in pods(subject.graph):
        for box in pod.boxes:
            words = [str(each) for key in ("command", "args") for each in box.get(key) or []]
            for flag in _PROMPTS:
                if flag in words:
                    yield of_box(pod, box, f"writes prompts or answers into its log ({flag})")
            for variable in box.get("env") or []:
                if (variable.get("name"), variable.get("value")) == ("VLLM_LOGGING_LEVEL", "DEBUG"):
                    yield of_box(pod, box, "writes prompts into its log (VLLM_LOGGING_LEVEL)")


def _content_allowed(platform: Platform | None) -> set[str]:
    """Regions whose log may hold content: every class there may keep some in a cloud, and the platform says so."""
    if platform is None:
        return set()
    found = set()
    for one in platform.invocation_logging:
        site = platform.site(one.site)
        classes = {each.class_ for each in platform.endpoints if each.site == one.site}
        if one.text and all(
            handling.of(each).content_days_max != 0 and not handling.of(each).content_on_prem
            for each in classes
        ):
            found.add(str(site.region))
    return found


def _cluster_logs(subject: Subject) -> Iterator[Broken]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        kinds = cluster.inputs.get("enabledClusterLogTypes")
        if unknown(kinds):
            yield Broken(f"what {cluster.name} logs is not known yet", cluster, "undecided")
            continue
        missing = sorted({"api", "audit", "authenticator"} - set(kinds or []))
        if missing:
            yield Broken(f"{cluster.name} keeps no log of {', '.join(missing)}", cluster)


def _flows_logged(subject: Subject) -> Iterator[Broken]:
    logged = {
        vpc.urn
        for log in subject.graph.of("aws:ec2/flowLog:FlowLog")
        if log.inputs.get("trafficType") == "ALL"
        for vpc in referred(subject.graph, log, "vpcId", ":Vpc")
    }
    for vpc in subject.graph.of("aws:ec2/vpc:Vpc"):
        if vpc.urn not in logged:
            yield Broken(f"of what goes through {vpc.name}, accepted and refused, no record is kept", vpc)


def _names_logged(subject: Subject) -> Iterator[Broken]:
    logged = {
        vpc.urn
        for log in subject.graph.of(
            "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation"
        )
        for vpc in referred(subject.graph, log, "resourceId", ":Vpc")
    }
    for vpc in networks_made(subject):
        if vpc.urn not in logged:
            yield Broken(f"of the names that are asked for in {vpc.name} no record is kept", vpc)


def _alarms_heard(subject: Subject) -> Iterator[Broken]:
    for alarm in subject.graph.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        watches = at(alarm.inputs, "tags") or {}
        if "isthmus.dev/audit" in watches and not alarm.inputs.get("alarmActions"):
            yield Broken(f"alarm {alarm.name} tells nobody", alarm)
        if alarm.inputs.get("actionsEnabled") is False:
            yield Broken(f"alarm {alarm.name} is switched off", alarm)
    aimed = {
        rule.urn
        for target in subject.graph.of("aws:cloudwatch/eventTarget:EventTarget")
        for rule in _rules_of(subject.graph, target)
    }
    for rule in subject.graph.of("aws:cloudwatch/eventRule:EventRule"):
        if rule.inputs.get("state") == "DISABLED" or rule.inputs.get("isEnabled") is False:
            yield Broken(f"event rule {rule.name} is switched off", rule)
        elif rule.urn not in aimed:
            yield Broken(f"event rule {rule.name} tells nobody", rule)


def _rules_of(graph: Graph, target: Resource) -> list[Resource]:
    name = target.inputs.get("rule")
    named = [each for each in graph.of(":EventRule") if name and each.inputs.get("name") == name]
    return [*named, *graph.referred(name, ":EventRule")]


_kept_ids = (*fw.nist("AU-11"), *fw.pci("10.5.1"), *fw.ai_act("26(6)"))
RULES = (
    Rule(
        "audit/trail-sees-bedrock",
        "The trail records agents and guardrails of Bedrock's too",
        "high",
        (*fw.nist("AU-2", "AU-12"), *fw.hipaa("164.312(b)"), *fw.iso_27001("A.8.15")),
        "They are data events, which a trail leaves out unless told",
        "Add advancedEventSelectors with eventCategory Data for AWS::Bedrock::Guardrail and AWS::Bedrock::Model",
        _sees_bedrock,
        (_TRAIL,),
    ),
    Rule(
        "audit/write-once",
        "The trail's bucket is write-once",
        "critical",
        (*fw.fsbp("S3.15"), *fw.pci("10.5.1"), *fw.nist("AU-9"), *fw.iso_27001("A.5.33", "A.8.15")),
        "A record that its subject can delete proves nothing",
        "Add a BucketObjectLockConfiguration in COMPLIANCE mode, and leave versioning on",
        _sealed,
        (*BUCKETS, "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"),
    ),
    Rule(
        "audit/locked-long-enough",
        "Sealed records are locked as long as their strictest class demands",
        "high",
        (*_kept_ids, *fw.iso_27001("A.5.33", "A.8.15")),
        "The lock ends, and with it what the retention was for",
        "Raise defaultRetention of the bucket's object lock",
        _locked_long_enough,
        ("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",),
    ),
    Rule(
        "audit/logs-kept",
        "Logs are kept as long as their class demands, and not for ever",
        "medium",
        (*_kept_ids, *fw.iso_27001("A.8.15")),
        "What is gone cannot be shown; what nobody ends is kept of people who may demand its end",
        "Set retentionInDays",
        _kept,
        (_GROUP,),
    ),
    Rule(
        "audit/calls-logged",
        "Calls of Bedrock are logged in every region used",
        "high",
        (*fw.ai_act("12(1)"), *fw.nist("AU-12"), *fw.iso_27001("A.8.15")),
        "A call in a region without logging leaves no record of which model was asked",
        "Add an InvocationLoggingConfiguration in that region",
        _calls_logged,
        LOGGING,
    ),
    Rule(
        "audit/no-prompts-in-logs",
        "Logs hold no prompts and answers that their class may not keep",
        "critical",
        (*fw.owasp("LLM02"), *fw.gdpr("Art. 5(1)(c)")),
        "Bedrock's log holds whole prompts unless told otherwise, of every class of its account",
        "Set each …DataDeliveryEnabled to False; take --enable-log-requests away",
        _no_content,
        LOGGING,
    ),
    Rule(
        "audit/cluster-logs",
        "A cluster's control plane keeps its logs",
        "medium",
        (*fw.fsbp("EKS.8"), *fw.pci("10.2.1"), *fw.iso_27001("A.8.15")),
        "Who read a secret, or changed a policy, stands in the audit log alone",
        "Set enabledClusterLogTypes to api, audit and authenticator at least",
        _cluster_logs,
        ("aws:eks/cluster:Cluster",),
    ),
    Rule(
        "audit/names-logged",
        "Networks keep a record of the names that are asked for",
        "medium",
        (*fw.nist("AU-2", "AU-12"), *fw.iso_27001("A.8.15")),
        "Who tries to send data out as names is seen in the questions, allowed or blocked, and nowhere else",
        "Associate a ResolverQueryLogConfig with the VPC",
        _names_logged,
        ("aws:ec2/vpc:Vpc",),
    ),
    Rule(
        "audit/flows-logged",
        "Networks keep a record of their flows",
        "medium",
        (*fw.fsbp("EC2.6"), *fw.cis_aws("4.7"), *fw.nist("AU-12", "SI-4"), *fw.iso_27001("A.8.15")),
        "Where data went after a leak stands nowhere else",
        "Add a FlowLog of trafficType ALL",
        _flows_logged,
        ("aws:ec2/vpc:Vpc",),
    ),
    Rule(
        "audit/alarms-heard",
        "Alarms are on, and somebody hears them",
        "high",
        (*fw.nist("AU-5", "SI-4(5)"), *fw.iso_27001("A.8.16"), *fw.dora("Art. 10(2)")),
        "An alarm without a hearer is a log line",
        "Set alarmActions, and a target of each event rule; take actionsEnabled: false away",
        _alarms_heard,
        ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/eventRule:EventRule"),
    ),
)
