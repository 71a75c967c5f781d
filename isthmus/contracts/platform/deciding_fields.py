"""Which fields of a platform decide who gets data: all but those that this module lists, with the reason of each.

`isthmus ci` compares the platforms of two commits field by field. A field that is in no list decides, so a field that
is added to the model decides until somebody lists it here. Paths are those of the model, with the files' keys and
without names of items: `gateways.reviews.keep_days`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from isthmus.contracts.reference.engine_flags import judge_arguments
from isthmus.core.ip_addresses import is_within

Looser = Callable[[Any, Any], bool]
"""Whether a new value lets through more than an old one. None stands for a value, or a part, that is not there."""


def _below(parent: str, names: str) -> tuple[str, ...]:
    """`a.b` of each of these names, which spaces separate."""
    return tuple(f"{parent}.{name}" for name in names.split())


FREE: Mapping[str, tuple[str, ...]] = {
    "names by which parts are known; another one is another part": (
        *("isthmus", "name", "blueprint", "endpoints.id", "clusters.admins.name"),
        *_below("people", "members.name users.name owners.name help.name break_glass.keyholders.name"),
        *_below("gateways", "destinations.name reviews.reviewers.name screening.topics.name workloads.name"),
        *_below("gateways", "teams.name workloads.calibrations.name"),
        "teams.name",
        *_below("gateways.reviews", "desk.groups.name desk.guidelines.name domains.name"),
        *_below("gateways.reviews.notifier", "targets.name webhooks.name"),
        *_below("pools.sharing", "classes.teams.name priorities.name"),
        *("sites.cluster_dns.peers.name", "endpoints.adapters.name"),
        *(
            f"{part}.name"
            for part in ["sites", "clusters", "pools", "gateways", "identities", "audit", "networks", "links"]
        ),
        *(f"{part}.name" for part in ["trust", "guardrails", "invocation_logging", "trails"]),
    ),
    "sizes, numbers and times of machines and pods": (
        *_below("clusters", "stage version system_nodes.instance_type system_nodes.nodes"),
        *("clusters.system_nodes.volume_gib", "sites.failure_domain_label"),
        *_below(
            "gateways",
            "replicas max_replicas metrics_authentication cpu memory workloads.overflow_when_waiting",
        ),
        *_below("gateways.screening", "limit_s workers cpu memory"),
        *_below(
            "gateways.reviews", "replicas decide_h escalated_h claim_s notifier.gather_s notifier.language"
        ),
        *_below("gateways.fargate", "cpu memory architecture"),
        *_below("gateways.chat", "cpu memory"),
        "gateways.usage.ledger.since",
        *_below("gateways.evaluator", "cpu memory"),
        *_below("gateways.evaluator.jobs", "name schedule tokens minutes parallel"),
        *_below("scaling", "endpoint min_replicas max_replicas waiting kv_cache cooldown_s cold_start_s"),
        "scaling.fallback_replicas",
        *_below("pod_priorities", "mode gateway model gateway_value model_value"),
        *_below("networks", "zones"),
    ),
    "machines of a pool and who waits for them: a GPU serves one class, which its own fields say": (
        *_below("pools", "gpu product nodes gpus_per_node failure_domains reserved_gpus cpus_per_node taint"),
        *_below("pools", "memory_gib_per_node mig.class mig.profile mig.gpus pci_devices allocation"),
        *_below("pools.node_group", "instance_type purchase reservation ami_type release_version zones"),
        *_below("pools.node_group", "min_nodes max_nodes volume_gib"),
        *_below("pools.sharing.classes", "class gpus borrow lend weight"),
        *_below("pools.sharing.classes.teams", "gpus borrow lend weight"),
        *_below("pools.sharing", "preemption.within_queue preemption.reclaim preemption.borrowing"),
        "pools.sharing.priorities.value",
        *_below("pools.topology", "levels required preferred"),
        "pools.time_slicing.replicas",
        *_below("pools.driver", "version precompiled kernel_module upgrade.auto upgrade.max_parallel"),
        *_below("pools.driver.upgrade", "max_unavailable drain.enable drain.force drain.delete_empty_dir"),
        "pools.driver.upgrade.drain.timeout_seconds",
        "pools.fabric.rdma.count",
        *_below("operators.gpu_operator_release", "version digest driver driver_version timeout_seconds"),
    ),
    "how a model is served: the engine keeps what it gets, and `engine_args` says where it does not": (
        *_below("endpoints", "pool model precision mig_profile tensor_parallel nodes_per_replica replicas"),
        *_below("endpoints", "gpus survive max_model_len max_num_seqs concurrency gpu_memory_utilization"),
        *_below("gateways.workloads.slo", "ttft_p95_ms tpot_p95_ms answer_p95_ms availability"),
        *_below("endpoints", "kv_cache_dtype engine_version model_family tool_call_parser reasoning_parser"),
        *_below(
            "endpoints", "chat_template engine task drain_s cpu memory load_timeout_s surge team priority"
        ),
        *_below("endpoints.weights", "digest volume size_gib precision"),
        *_below("endpoints.adapters", "rank size_mib path"),
        *_below("endpoints.speculative", "method tokens path"),
        *_below("endpoints.compile_cache", "place storage_class size_gib"),
        *_below("endpoints.sagemaker", "instance_type inference_ami volume_gib shadow.instance_type"),
        "endpoints.sagemaker.shadow.instances",
        *_below("endpoints.sagemaker.autoscaling", "min_instances max_instances calls_per_minute"),
        *_below("endpoints.sagemaker.autoscaling", "scale_in_s scale_out_s"),
        *_below("endpoints.sagemaker.rollback", "errors latency_p95_ms minutes"),
        *_below("endpoints.sagemaker.rollout", "kind step_pct wait_s keep_old_s"),
    ),
    "what reviewers read beside an answer, and the words that they choose": (
        *_below("gateways.reviews.desk.reasons", "domain codes.code codes.label"),
        *_below("gateways.reviews.desk.guidelines", "workloads file digest text"),
        *_below("gateways.reviews.desk.planted", "domain file digest text"),
    ),
    "which of the class's own endpoints and identities serve: the data paths of both commits are judged": (
        *_below(
            "gateways.workloads", "endpoint also overflow fallback adapter canary.endpoint canary.percent"
        ),
        *_below("gateways.workloads.canary", "release steps shadow_percent shadow_by_token"),
        *_below("gateways.workloads.canary.judge", "workload rubric percent per_day"),
        *("gateways.identity", "identities.endpoints", "networks.services"),
    ),
    "the result that lets a candidate answer: the rules of both commits read it": (
        *_below("gateways.workloads.canary.evaluation", "file sha256"),
    ),
    "ways to send the same requests: all pass the same screening, review, records and limits": (
        "gateways.workloads.interfaces",
    ),
    "money, limits of use, labels and what is written about a thing": (
        *_below("endpoints.cost", "usd_per_gpu_hour usd_per_million_tokens.prompt source as_of"),
        "endpoints.cost.usd_per_million_tokens.completion",
        *(
            f"gateways.{owner}.{limit}"
            for owner in ("workloads.allowance", "workloads.people", "teams.allowance")
            for limit in [
                "requests_per_minute",
                "tokens_per_minute",
                "tokens_per_month",
                "usd_per_month",
                "parallel_requests",
            ]
        ),
        *_below("teams", "budget.usd_per_month budget.at_gateways budget.alert_pct budget.notify"),
        *_below("teams.budget.gateways", "name percent"),
        *_below("budgets", "name site scope of monthly_usd alert_pct action"),
        *_below("anomalies", "mode site threshold_usd"),
        *_below("provisioned", "name endpoint model_units commitment"),
        *("cost_tags", "contacts.cost", "tags", "guardrails.blocked_message"),
        *_below("gateways", "audit.policy audit.earlier_keys workloads.calibrations.file"),
        "gateways.workloads.calibrations.text",
        *_below("monitoring", "pod_monitors rules dashboards runbooks_url labels"),
        *_below("monitoring", "model_probes model_probes_by_token"),
        *_below("people.help", "title workloads mail phone page"),
    ),
    "credentials for images; registries and digests of the images are compared": (
        *_below("images", "pull_secrets pull_secret"),
    ),
    "named with each group and permission set that has it, which `stated_values` compares": (
        "people.members.role",
    ),
    "times and names of requests, never prompts or answers; a new host is shown": (
        *_below("gateways.traces", "endpoint address share"),
    ),
}
"""Reason → fields that decide about nobody's data."""

COMPARED: Mapping[str, tuple[str, ...]] = {
    "a protection (`isthmus.contracts.platform.protections`)": (
        *_below("issuer", "name kind"),
        *("trust_bundle", "trust.ca_certificates", "trust.issuer.name", "trust.issuer.kind"),
        *("sites.cluster_dns.filter", "pools.node_names", "links.classes"),
        *_below("audit", "mode retention_days address"),
        *_below("networks", "classes internet dns_firewall.mode dns_firewall.names"),
        *_below("links", "transit_gateway direct_connect_gateway connection"),
        *_below("guardrails", "mode attack_strength content_strength languages pii.name pii.action"),
        *("trails.mode", "invocation_logging.mode", "gateways.class", "gateways.redacted"),
        *_below("gateways.database", "host address port name user"),
        *_below("gateways.screening", "languages jurisdictions images models.file models.language"),
        *_below("gateways.screening", "patterns.entity patterns.pattern"),
        *_below("gateways.screening.guards", "name on workloads entities max_characters endpoint then"),
        *_below("gateways", "ca_bundle callers_secret certificate_secret audit.secret audit.sealer_secret"),
        *_below("gateways", "reviews.secret reviews.reviewers_ca reviews.certificate_secret traces.ca"),
        *_below(
            "gateways", "fargate.translator_secret fargate.sign_on_secret router.ca router.certificate_secret"
        ),
        *_below("gateways.chat", "secret sign_on_secret"),
        *_below("gateways.reviews", "desk.sign_on_secret notifier.secret"),
        *_below("gateways.chat.database", "host address port name user"),
        *_below("gateways.usage.ledger", "host address port name user secret store_secret"),
        *_below("gateways.evaluator", "signing_secret certificate_secret"),
        *_below("endpoints", "certificate_secret weights.store.credentials_secret weights.store.ca_bundle"),
        "identities.certificate_secret",
    ),
    "what requirements and plan say, which overrides cannot change (`relaxed_files`)": (
        *_below("sites", "kind jurisdiction"),
        *_below(
            "gateways.workloads", "impact residency review.domain review.below_confidence review.on_low_score"
        ),
        "gateways.workloads.review.sample_rate",
        *_below("exceptions", "workload target who reason until"),
    ),
}
"""Reason → fields of parts that stay whose every change another comparison of `isthmus ci` shows."""

ADDED_FREELY = frozenset(
    {
        *("gateways.workloads", "gateways.teams", "gateways.traces", "gateways.workloads.canary"),
        *("gateways.workloads.canary.evaluation", "gateways.release_freezes"),
        *("gateways.workloads.review", "gateways.screening", "guardrails.pii", "gateways.reviews.cases"),
        *_below("gateways.screening", "patterns models topics guards"),
        *_below("gateways.reviews.desk", "reasons reasons.codes guidelines planted"),
    }
)
"""Parts that are no loosening when they are new: work, which is judged as such, and protections."""
REMOVED_FREELY = frozenset(
    {
        *("people", "people.members", "people.break_glass", "people.break_glass.keyholders"),
        *("people.users", "people.owners", "people.help", "people.sign_on"),
        *("clusters.admins", "clusters.hybrid_nodes", "sites.cluster_dns.peers"),
        *_below("endpoints", "sagemaker.shadow sagemaker.capture picker"),
        *_below(
            "gateways",
            "workloads destinations audit.content reviews.reviewers traces fargate router chat access "
            "usage.ledger",
        ),
        *("gateways.workloads.calibrations", "pools.fabric", "pools.fabric.rdma"),
        "gateways.workloads.canary.evaluation",
        *("gateways.reviews.desk", "gateways.reviews.desk.groups", "gateways.reviews.desk.reasons"),
        *_below("gateways.reviews.desk", "reasons.codes guidelines"),
        "pools.fabric.rdma.networks",
    }
)
"""Parts without which fewer people and places get data."""


def _more(old: Any, new: Any) -> bool:
    return new is not None and (old is None or new > old)


def _fewer(old: Any, new: Any) -> bool:
    return old is not None and (new is None or new < old)


def _more_than_stated(old: Any, new: Any) -> bool:
    """None is the strictest that the class asks for, or less than any number."""
    return old is not None and (new is None or new > old)


def _added(old: Any, new: Any) -> bool:
    return bool(set(new or ()) - set(old or ()))


def _removed(old: Any, new: Any) -> bool:
    return _added(new, old)


def _wider(old: Any, new: Any) -> bool:
    """Of lists of which an empty one means all."""
    return bool(old) and (not new or _added(old, new))


def _ranges_added(old: Any, new: Any) -> bool:
    return any(not is_within(value, _ranges(old)) for value in _ranges(new))


def _ranges_wider(old: Any, new: Any) -> bool:
    return bool(old) and (not new or _ranges_added(old, new))


def _ranges(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _in_order(*values: Any) -> Looser:
    """Looser towards the last of these values; a new part is compared with the first."""
    return lambda old, new: values.index(new) > (0 if old is None else values.index(old))


def _needs_fewer_words(old: Any, new: Any) -> bool:
    """Of words of which one must be there, where none means that none need to."""
    return bool(new) and (not old or _removed(old, new))


def _another_repository(old: Any, new: Any) -> bool:
    return new is not None and (old is None or _repository(old) != _repository(new))


def _repository(image: str) -> str:
    name = image.partition("@")[0]
    path, colon, tag = name.rpartition(":")
    return path if colon and "/" not in tag else name


def _another_place(old: Any, new: Any) -> bool:
    """Of addresses of weights: another scheme or host. A claim is in the class's own namespace, whatever its name."""
    if old is None or new is None:
        return True
    before, after = urlsplit(old), urlsplit(new)
    return before.scheme != after.scheme or (before.scheme != "pvc" and before.netloc != after.netloc)


def _older(old: Any, new: Any) -> bool:
    """Of versions, where none means AWS's default."""
    if new is None:
        return False
    return old is None or [int(part) for part in re.findall(r"\d+", new)] < [
        int(part) for part in re.findall(r"\d+", old)
    ]


def _flags_that_leak(old: Any, new: Any) -> bool:
    fresh = [argument for argument in new or () if argument not in (old or ())]
    return any(judged.effect != "keeps" for judged in judge_arguments(fresh))


def _unless_managed(old: Any, new: Any) -> bool:
    """Of operators: one that the stack installs is judged by its resources."""
    return new != "manage"


_IMAGES = _below(
    "images",
    "edge translator vllm vllm_cpu detector resolver credential_helper chat sign_on notifier evaluator sagemaker",
)
LOOSER: Mapping[str, Looser] = {
    # People
    "people.members.groups": _added,
    "people.members.permission_sets": _added,
    "people.members.classes": _wider,
    "people.users.groups": _added,
    "people.users.workloads": _added,
    "people.owners.groups": _added,
    "people.owners.workloads": _added,
    "people.sign_on.clients": _wider,
    "people.sign_on.through": _added,
    "people.sign_on.max_lifetime_s": _more,
    "people.break_glass.max_hours": _more,
    # Sites and clusters
    "sites.existing_namespaces": _added,
    "sites.cidrs": _ranges_added,
    "clusters.access": _ranges_added,
    "clusters.hybrid_nodes.node_networks": _ranges_added,
    "clusters.hybrid_nodes.pod_networks": _ranges_added,
    "clusters.log_retention_days": _fewer,
    "clusters.addons": _older,
    **dict.fromkeys(_below("operators", "gpu_operator kueue cert_manager keda"), _unless_managed),
    # Models
    "endpoints.engine_args": _flags_that_leak,
    "endpoints.weights.uri": _another_place,
    "endpoints.weights.verify": _in_order(True, False),
    "endpoints.prefix_cache": _in_order("off", "salted", "shared"),
    "endpoints.destination_regions": _added,
    "endpoints.sagemaker.shadow.sampling_pct": _more,
    "endpoints.sagemaker.capture.sampling_pct": _more,
    "endpoints.sagemaker.capture.days": _more,
    "endpoints.sagemaker.log_days": _fewer,
    # Gateways
    "gateways.workloads.clients": _wider,
    "gateways.releasers": _added,
    "gateways.audit.max_unsealed_s": _more_than_stated,
    "gateways.audit.content.days": _more,
    "gateways.reviews.keep_days": _more,
    "gateways.usage.by_person": _in_order(False, True),
    "gateways.access.source_ranges": _ranges_added,
    "gateways.access.internet_facing": _in_order(False, True),
    "gateways.chat.from_cidrs": _ranges_added,
    "gateways.chat.from_namespaces": _added,
    "gateways.chat.history_days": _more_than_stated,
    "gateways.reviews.from_cidrs": _ranges_added,
    "gateways.reviews.from_namespaces": _added,
    "gateways.reviews.reviewers.workloads": _wider,
    "gateways.reviews.reviewers.senior": _in_order(False, True),
    "gateways.reviews.desk.from_cidrs": _ranges_added,
    "gateways.reviews.desk.from_namespaces": _added,
    "gateways.reviews.desk.groups.groups": _added,
    "gateways.reviews.desk.groups.role": _in_order("owner", "auditor", "reviewer", "senior"),
    "gateways.reviews.desk.groups.domains": _wider,
    "gateways.reviews.desk.groups.workloads": _wider,
    "gateways.reviews.desk.score_after_first_judgement": _removed,
    "gateways.reviews.desk.max_session_s": _more,
    "gateways.reviews.cases.appeal_days": _fewer,
    "gateways.reviews.notifier.give_up_h": _fewer,
    **dict.fromkeys(_below("gateways.reviews.domains", "decide_h escalation.decide_h"), _more),
    **dict.fromkeys(_below("gateways.reviews.domains", "remind_h escalation.remind_h"), _fewer),
    "gateways.reviews.desk.second_look_rate": _fewer,
    "gateways.reviews.desk.people": _in_order("none", "aggregate", "pseudonymous"),
    **dict.fromkeys(_below("gateways.reviews.desk.planted", "rate most_per_day most_uses"), _fewer),
    "gateways.screening.topics.phrases": _removed,
    "gateways.screening.patterns.context": _needs_fewer_words,
    "gateways.fargate.clients": _ranges_added,
    "gateways.fargate.scrapers": _ranges_added,
    "gateways.fargate.principals": _added,
    "gateways.fargate.log_days": _fewer,
    # AWS
    "identities.network_condition": _in_order("every-region", "own-region"),
    "audit.delete_after_retention": _in_order(False, True),
    "networks.deployers": _added,
    "networks.cidr": _ranges_added,
    "networks.flow_log_days": _fewer,
    "links.sources": _ranges_wider,
    "links.zones": _added,
    "trust.certificate_hours": _more,
    "trust.session_seconds": _more,
    "guardrails.grounding": _fewer,
    "guardrails.earlier_versions": _added,
    "guardrails.unfiltered_languages": _added,
    "invocation_logging.text": _in_order(False, True),
    "invocation_logging.retention_days": _fewer,
    "trails.retention_days": _fewer,
    # Images
    **dict.fromkeys(_IMAGES, _another_repository),
    "images.registries": _added,
}
"""Fields that decide in one direction only → whether a change goes there."""

_CHART_VALUES = ("operators.gpu_operator_release.values",)
_FREE_CHART_VALUES = (("resources",), ("tolerations",), ("replicas",), ("serviceMonitor", "enabled"))
"""Ends of paths in the values of a chart that decide about nobody's data, whatever is below them."""
_FREE = frozenset(path for paths in FREE.values() for path in paths)
_COMPARED = frozenset(path for paths in COMPARED.values() for path in paths)


def decides(path: str, old: Any, new: Any, *, is_new: bool = False, keys: Iterable[str] = ()) -> bool:
    """Whether a change of a field, from one value to another that differs, may give data to somebody else.

    `path`: the field's in the model. `is_new`: whether the part with the field is new, so that no other comparison has
    an old value of it. `keys`: the keys below the field, if it is a free map.
    """
    if path in _FREE or (path in _COMPARED and not is_new) or _is_free_chart_value(path, tuple(keys)):
        return False
    looser = LOOSER.get(path)
    return looser is None or looser(old, new)


def _is_free_chart_value(path: str, keys: tuple[str, ...]) -> bool:
    return path in _CHART_VALUES and any(
        keys[start : start + len(free)] == free
        for free in _FREE_CHART_VALUES
        for start in range(len(keys) - len(free) + 1)
    )


__all__ = ["ADDED_FREELY", "COMPARED", "FREE", "LOOSER", "REMOVED_FREELY", "Looser", "decides"]
