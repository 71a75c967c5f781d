"""Audit rules for storage: trails, locks, retention, call logs, DNS and flow logs, no prompts in logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reference import handling
from isthmus.graph.resources.resources import Graph, Resource
from policies.encryption.at_rest import BUCKETS, attached
from policies.inputs.aws_reach import is_of_component
from policies.inputs.links import referenced_resources
from policies.inputs.pods import container_violation, pods
from policies.inputs.values import at, is_unknown
from policies.network.exposure import managed_networks
from policies.rules import frameworks as fw
from policies.rules.rule import Rule, Subject, Violation

_TRAIL = "aws:cloudtrail/trail:Trail"
_LOGGING = ("aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",)
_GROUP = "aws:cloudwatch/logGroup:LogGroup"
_LOCK = ":BucketObjectLockConfiguration"
_CONTENT = (
    "textDataDeliveryEnabled",
    "imageDataDeliveryEnabled",
    "embeddingDataDeliveryEnabled",
    "videoDataDeliveryEnabled",
)
_MANDATORY = ("AWS::Bedrock::Guardrail", "AWS::Bedrock::Model")
_HOSTED = "aws:sagemaker/endpoint:Endpoint"
_HOSTED_CALLS = "AWS::SageMaker::Endpoint"
_LIFECYCLE = (":BucketLifecycleConfiguration", ":BucketLifecycleConfigurationV2")
_PROMPTS = ("--enable-log-requests", "--enable-log-outputs", "--log-requests")
"""Flags that make vLLM write prompts or answers into its log."""


def _bedrock_resources(graph: Graph) -> list[Resource]:
    """Resources that show that the stack uses Bedrock: guardrails, profiles, agents, throughput; not logging."""
    return [
        resource
        for resource in graph.resources
        if resource.type.startswith(("aws:bedrock/", "aws:bedrockfoundation/"))
        and resource.type not in _LOGGING
    ]


def _region_of(resource: Resource) -> str:
    return str(resource.inputs.get("region") or "")


def _check_trail_events(subject: Subject) -> Iterator[Violation]:
    trails = list(subject.graph.of(_TRAIL))
    # The trail of a platform covers its whole account, where others may call Bedrock too.
    required: list[str] = (
        list(_MANDATORY) if subject.platform is not None or _bedrock_resources(subject.graph) else []
    )
    if any(subject.graph.of(_HOSTED)):
        required.append(_HOSTED_CALLS)
    if not trails or not required:
        return
    recorded: set[str] = set()
    for trail in trails:
        selectors = trail.inputs.get("advancedEventSelectors")
        if is_unknown(selectors):
            yield Violation(
                f"what {trail.name} records is not known before the change is made", trail, "undecided"
            )
            return
        for selector in selectors or []:
            recorded |= set(_data_events(selector))
    missing = [type_ for type_ in required if type_ not in recorded]
    if missing:
        yield Violation(f"{trails[0].name} does not record data events of {', '.join(missing)}", trails[0])


def _first_trail(subject: Subject) -> Iterator[Resource]:
    """The first trail, which stands for all: together they must record the events."""
    if subject.platform or _bedrock_resources(subject.graph) or any(subject.graph.of(_HOSTED)):
        yield from list(subject.graph.of(_TRAIL))[:1]


def _data_events(selector: Any) -> Iterator[str]:
    """The types whose data events a selector records completely: any further field would narrow it."""
    fields = {at(field, "field"): at(field, "equals") or [] for field in at(selector, "fieldSelectors") or []}
    if set(fields) == {"eventCategory", "resources.type"} and fields["eventCategory"] == ["Data"]:
        yield from map(str, fields["resources.type"])


def _check_trail_bucket_lock(subject: Subject) -> Iterator[Violation]:
    for bucket in _record_buckets(subject.graph):
        locks = [at(lock.inputs, "rule.defaultRetention") for lock in attached(subject.graph, bucket, _LOCK)]
        inline = at(bucket.inputs, "objectLockConfiguration.rule.defaultRetention")
        locks += [inline] if inline else []
        modes = [at(lock, "mode") for lock in locks]
        if any(map(is_unknown, [*locks, *modes])):
            yield Violation(f"how {bucket.name} is locked is not known yet", bucket, "undecided")
        elif "COMPLIANCE" not in modes:
            state = f"locked in {modes[0]} mode only" if modes and modes[0] else "not locked"
            yield Violation(f"{bucket.name} holds the trail but is {state}", bucket)
        statuses = [
            at(versioning.inputs, "versioningConfiguration.status")
            for versioning in attached(subject.graph, bucket, ":BucketVersioning", ":BucketVersioningV2")
        ]
        if any(status in ("Suspended", "Disabled") for status in statuses):
            yield Violation(f"{bucket.name} holds the trail but keeps no versions", bucket)


def _trail_buckets(subject: Subject) -> list[Resource]:
    return _record_buckets(subject.graph)


def _record_buckets(graph: Graph) -> list[Resource]:
    """Buckets that a trail writes to."""
    buckets_by_urn: dict[str, Resource] = {}
    for trail in graph.of(_TRAIL):
        name = trail.inputs.get("s3BucketName")
        for bucket in graph.of(*BUCKETS):
            if bucket in graph.referred(name, ":Bucket") or (name and name == bucket.inputs.get("bucket")):
                buckets_by_urn[bucket.urn] = bucket
    return list(buckets_by_urn.values())


def _minimum_days(platform: Platform | None, sensitivity: str = "") -> int:
    """Minimum days to keep the records of a class, or of the strictest AWS store if no class is given."""
    if sensitivity:
        months = handling.handling_of(sensitivity).records_months_min
    elif platform is not None:
        kinds = {site.name: site.kind for site in platform.sites}
        stores = [store.retention_days for store in platform.audit if kinds.get(store.site) == "aws"]
        return max(stores, default=0)
    else:
        return 0
    return months * 30


def _check_log_retention(subject: Subject) -> Iterator[Violation]:
    least = subject.settings.figures.log_days_min
    for group in subject.graph.of(_GROUP):
        sensitivity = str((group.inputs.get("tags") or {}).get("isthmus.dev/class", ""))
        required = max(least, _minimum_days(None, sensitivity) if sensitivity in handling.HANDLING else 0)
        days = group.inputs.get("retentionInDays")
        if is_unknown(days):
            yield Violation(f"the retention of {group.name} is not known yet", group, "undecided")
        elif not days:
            yield Violation(f"{group.name} keeps logs for ever: retentionInDays is not set", group)
        elif isinstance(days, int | float) and days < required:
            yield Violation(f"{group.name} keeps logs for {days:g} days; the minimum is {required}", group)


def _check_lock_duration(subject: Subject) -> Iterator[Violation]:
    required = max(subject.settings.figures.log_days_min, _minimum_days(subject.platform))
    for bucket in _record_buckets(subject.graph):
        for lock in attached(subject.graph, bucket, _LOCK):
            retention = at(lock.inputs, "rule.defaultRetention")
            days, years = at(retention, "days"), at(retention, "years")
            if any(map(is_unknown, (retention, days, years))):
                yield Violation(f"the lock duration of {lock.name} is not known yet", lock, "undecided")
                continue
            locked = (days or 0) + 365 * (years or 0)
            if locked < required:
                yield Violation(
                    f"{lock.name} locks records for {locked:g} days; the minimum is {required}", lock
                )
            yield from _check_lifecycle(subject.graph, bucket, locked)


def _locks_and_lifecycles(subject: Subject) -> Iterator[Resource]:
    for bucket in _record_buckets(subject.graph):
        yield from attached(subject.graph, bucket, _LOCK, *_LIFECYCLE)


def _check_lifecycle(graph: Graph, bucket: Resource, locked: float) -> Iterator[Violation]:
    """Reports lifecycle rules that hide locked records: S3 puts a delete marker on a locked object too."""
    for lifecycle in attached(graph, bucket, *_LIFECYCLE):
        rules = lifecycle.inputs.get("rules")
        if is_unknown(rules):
            yield Violation(f"what {lifecycle.name} expires is not known yet", lifecycle, "undecided")
            continue
        for rule in rules or []:
            days, date = at(rule, "expiration.days"), at(rule, "expiration.date")
            if at(rule, "status") == "Disabled":
                continue
            if is_unknown(days) or is_unknown(date):
                yield Violation(f"when {lifecycle.name} expires records is not known", lifecycle, "undecided")
            elif date:
                yield Violation(
                    f"{lifecycle.name} hides records on a fixed date, even if they are still locked",
                    lifecycle,
                )
            elif days and days <= locked:
                yield Violation(
                    f"{lifecycle.name} hides records after {days:g} days, but they are locked for {locked:g}",
                    lifecycle,
                    patch=f"rules: expiration.days={locked + 1:g}",
                )


def _check_calls_logged(subject: Subject) -> Iterator[Violation]:
    used = _bedrock_resources(subject.graph)
    logged = {_region_of(config) for config in subject.graph.of(*_LOGGING)}
    if subject.platform is not None:
        existing_sites = {
            logging.site for logging in subject.platform.invocation_logging if logging.mode == "existing"
        }
        logged |= {str(site.region) for site in subject.platform.sites if site.name in existing_sites}
    reported: set[str] = set()
    for resource in used:
        region = _region_of(resource)
        if region not in logged and "" not in logged and region not in reported:
            reported.add(region)
            yield Violation(
                f"{resource.name} serves in {region or 'its region'}, where Bedrock calls are not logged",
                resource,
            )


def _first_bedrock_use_by_region(subject: Subject) -> Iterable[Resource]:
    """The first resource that uses Bedrock in each region."""
    first_by_region: dict[str, Resource] = {}
    for resource in _bedrock_resources(subject.graph):
        first_by_region.setdefault(_region_of(resource), resource)
    return first_by_region.values()


def _check_no_prompts_logged(subject: Subject) -> Iterator[Violation]:
    allowed = _regions_with_content(subject.platform)
    for config in subject.graph.of(*_LOGGING):
        logging_config = config.inputs.get("loggingConfig")
        if is_unknown(logging_config):
            yield Violation(
                f"what {config.name} logs is not known before the change is made", config, "undecided"
            )
            continue
        for kind in _CONTENT:
            value = at(logging_config, kind)
            if is_unknown(value):
                yield Violation(
                    f"{config.name}: {kind} is not known before the change is made", config, "undecided"
                )
            elif value is not False and _region_of(config) not in allowed:
                # Delivery is on by default, so a missing setting logs whole prompts.
                yield Violation(
                    f"{config.name} logs prompts and answers ({kind})", config, patch=f"{kind}=False"
                )
    for pod in pods(subject.graph):
        for container in pod.containers:
            arguments = [
                str(argument) for key in ("command", "args") for argument in container.get(key) or []
            ]
            for flag in _PROMPTS:
                if flag in arguments:
                    yield container_violation(
                        pod, container, f"writes prompts or answers into its log ({flag})"
                    )
            for variable in container.get("env") or []:
                if (variable.get("name"), variable.get("value")) == ("VLLM_LOGGING_LEVEL", "DEBUG"):
                    yield container_violation(
                        pod, container, "writes prompts into its log (VLLM_LOGGING_LEVEL)"
                    )


def _prompt_logs(subject: Subject) -> Iterator[Resource]:
    yield from subject.graph.of(*_LOGGING)
    yield from (pod.resource for pod in pods(subject.graph) if pod.containers)


def _regions_with_content(platform: Platform | None) -> set[str]:
    """Regions whose logs may hold prompts: enabled by the platform, and allowed for every class there."""
    if platform is None:
        return set()
    regions = set()
    for logging in platform.invocation_logging:
        site = platform.site(logging.site)
        classes = {endpoint.class_ for endpoint in platform.endpoints if endpoint.site == logging.site}
        if logging.text and all(
            handling.handling_of(sensitivity).content_days_max != 0
            and not handling.handling_of(sensitivity).content_on_prem
            for sensitivity in classes
        ):
            regions.add(str(site.region))
    return regions


def _check_cluster_logs(subject: Subject) -> Iterator[Violation]:
    for cluster in subject.graph.of("aws:eks/cluster:Cluster"):
        kinds = cluster.inputs.get("enabledClusterLogTypes")
        if is_unknown(kinds):
            yield Violation(f"what {cluster.name} logs is not known yet", cluster, "undecided")
            continue
        missing = sorted({"api", "audit", "authenticator"} - set(kinds or []))
        if missing:
            yield Violation(f"{cluster.name} does not log {', '.join(missing)}", cluster)


def _check_flow_logs(subject: Subject) -> Iterator[Violation]:
    logged = {
        vpc.urn
        for log in subject.graph.of("aws:ec2/flowLog:FlowLog")
        if log.inputs.get("trafficType") == "ALL"
        for vpc in referenced_resources(subject.graph, log, "vpcId", ":Vpc")
    }
    for vpc in subject.graph.of("aws:ec2/vpc:Vpc"):
        if vpc.urn not in logged:
            yield Violation(f"{vpc.name} has no flow log of accepted and rejected traffic", vpc)


def _check_dns_logs(subject: Subject) -> Iterator[Violation]:
    logged = {
        vpc.urn
        for log in subject.graph.of(
            "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation"
        )
        for vpc in referenced_resources(subject.graph, log, "resourceId", ":Vpc")
    }
    for vpc in managed_networks(subject):
        if vpc.urn not in logged:
            yield Violation(f"DNS queries in {vpc.name} are not logged", vpc)


def _check_alarms_enabled(subject: Subject) -> Iterator[Violation]:
    for alarm in subject.graph.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if _tells_people(subject.graph, alarm) and not alarm.inputs.get("alarmActions"):
            yield Violation(f"alarm {alarm.name} notifies nobody", alarm)
        if alarm.inputs.get("actionsEnabled") is False:
            yield Violation(f"alarm {alarm.name} is switched off", alarm)
    targeted = {
        rule.urn
        for target in subject.graph.of("aws:cloudwatch/eventTarget:EventTarget")
        for rule in _event_rules(subject.graph, target)
    }
    for rule in subject.graph.of("aws:cloudwatch/eventRule:EventRule"):
        if rule.inputs.get("state") == "DISABLED" or rule.inputs.get("isEnabled") is False:
            yield Violation(f"event rule {rule.name} is switched off", rule)
        elif rule.urn not in targeted:
            yield Violation(f"event rule {rule.name} notifies nobody", rule)


def _tells_people(graph: Graph, alarm: Resource) -> bool:
    """Whether an alarm is there to tell people: of the audit, or of a component and for no rollback of a release."""
    if "isthmus.dev/audit" in (at(alarm.inputs, "tags") or {}):
        return True
    name = alarm.inputs.get("name")
    return is_of_component(alarm) and not any(
        str(name) in str(endpoint.inputs.get("deploymentConfig"))
        for endpoint in graph.of("aws:sagemaker/endpoint:Endpoint")
    )


def _alarms(subject: Subject) -> Iterator[Resource]:
    for alarm in subject.graph.of("aws:cloudwatch/metricAlarm:MetricAlarm"):
        if alarm.inputs.get("alarmActions") or _tells_people(subject.graph, alarm):
            yield alarm
    yield from subject.graph.of("aws:cloudwatch/eventRule:EventRule")


def _event_rules(graph: Graph, target: Resource) -> list[Resource]:
    name = target.inputs.get("rule")
    rules = [rule for rule in graph.of(":EventRule") if name and rule.inputs.get("name") == name]
    return [*rules, *graph.referred(name, ":EventRule")]


_RETENTION_CONTROLS = (*fw.nist("AU-11"), *fw.pci("10.5.1"), *fw.ai_act("26(6)"))
RULES = (
    Rule(
        "audit/trail-sees-bedrock",
        "The trail records Bedrock agents and guardrails",
        "high",
        (*fw.nist("AU-2", "AU-12"), *fw.hipaa("164.312(b)"), *fw.iso_27001("A.8.15")),
        "These are data events, which a trail omits by default",
        "Add advancedEventSelectors with eventCategory Data for AWS::Bedrock::Guardrail and AWS::Bedrock::Model",
        _check_trail_events,
        (_TRAIL,),
        applies_to=_first_trail,
    ),
    Rule(
        "audit/write-once",
        "The trail's bucket is write-once",
        "critical",
        (*fw.fsbp("S3.15"), *fw.pci("10.5.1"), *fw.nist("AU-9"), *fw.iso_27001("A.5.33", "A.8.15")),
        "A record proves nothing if the person it is about can delete it",
        "Add a BucketObjectLockConfiguration in COMPLIANCE mode, and keep versioning on",
        _check_trail_bucket_lock,
        (*BUCKETS, "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"),
        applies_to=_trail_buckets,
    ),
    Rule(
        "audit/locked-long-enough",
        "Records stay locked for as long as their strictest class requires",
        "high",
        (*_RETENTION_CONTROLS, *fw.iso_27001("A.5.33", "A.8.15")),
        "When the lock ends early, records can be deleted before their retention ends",
        "Raise defaultRetention of the bucket's object lock",
        _check_lock_duration,
        ("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",),
        applies_to=_locks_and_lifecycles,
    ),
    Rule(
        "audit/logs-kept",
        "Logs are kept for as long as their class requires, and not for ever",
        "medium",
        (*_RETENTION_CONTROLS, *fw.iso_27001("A.8.15")),
        "Deleted logs prove nothing; logs that are kept for ever hold personal data longer than allowed",
        "Set retentionInDays",
        _check_log_retention,
        (_GROUP,),
    ),
    Rule(
        "audit/calls-logged",
        "Bedrock calls are logged in every region in use",
        "high",
        (*fw.ai_act("12(1)"), *fw.nist("AU-12"), *fw.iso_27001("A.8.15")),
        "In a region without logging no record shows which model was called",
        "Add an InvocationLoggingConfiguration in that region",
        _check_calls_logged,
        _LOGGING,
        applies_to=_first_bedrock_use_by_region,
    ),
    Rule(
        "audit/no-prompts-in-logs",
        "Logs contain no prompts or answers that their class may not keep",
        "critical",
        (*fw.owasp("LLM02"), *fw.gdpr("Art. 5(1)(c)")),
        "By default Bedrock logs whole prompts of every class in the account",
        "Set each …DataDeliveryEnabled to False, and remove --enable-log-requests",
        _check_no_prompts_logged,
        _LOGGING,
        applies_to=_prompt_logs,
    ),
    Rule(
        "audit/cluster-logs",
        "The control plane of an EKS cluster writes its logs",
        "medium",
        (*fw.fsbp("EKS.8"), *fw.pci("10.2.1"), *fw.iso_27001("A.8.15")),
        "Only the audit log shows who read a secret or changed a policy",
        "Set enabledClusterLogTypes to at least api, audit and authenticator",
        _check_cluster_logs,
        ("aws:eks/cluster:Cluster",),
    ),
    Rule(
        "audit/names-logged",
        "DNS queries of a network are logged",
        "medium",
        (*fw.nist("AU-2", "AU-12"), *fw.iso_27001("A.8.15")),
        "Only DNS query logs show attempts to send data out in DNS names",
        "Associate a ResolverQueryLogConfig with the VPC",
        _check_dns_logs,
        ("aws:ec2/vpc:Vpc",),
        applies_to=managed_networks,
    ),
    Rule(
        "audit/flows-logged",
        "Network flows are logged",
        "medium",
        (*fw.fsbp("EC2.6"), *fw.cis_aws("4.7"), *fw.nist("AU-12", "SI-4"), *fw.iso_27001("A.8.15")),
        "Only flow logs show where data went after a leak",
        "Add a FlowLog of trafficType ALL",
        _check_flow_logs,
        ("aws:ec2/vpc:Vpc",),
    ),
    Rule(
        "audit/alarms-heard",
        "Alarms are enabled and notify somebody",
        "high",
        (*fw.nist("AU-5", "SI-4(5)"), *fw.iso_27001("A.8.16"), *fw.dora("Art. 10(2)")),
        "Nobody notices an alarm without a target",
        "Set alarmActions and a target for each event rule, and remove actionsEnabled: false",
        _check_alarms_enabled,
        ("aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/eventRule:EventRule"),
        applies_to=_alarms,
    ),
)
