"""The component Evaluator: the evaluation jobs of a class, in a namespace that reaches the class's gateway only."""

import hashlib
import json
from typing import Any, NotRequired, TypedDict
from urllib.parse import urlsplit

import pulumi

from components.base.argument_checks import check_sensitivity, without_outputs
from components.cluster.certificates import CertificateIssuer, workload_certificate
from components.cluster.class_namespace import create_isolated_namespace, pods_quota
from components.cluster.objects import class_namespace, evaluator_namespace, serving_rule
from components.cluster.pod_defaults import (
    TLS_MOUNT,
    TMP_MOUNT,
    TMP_VOLUME,
    container_security,
    guaranteed_resources,
    no_dns,
    pod_spec,
)
from components.cluster.workload_names import WorkloadNames
from components.gateway.callers import with_host_aliases
from isthmus.contracts.platform.lookups.evaluator import (
    CASES_FOLDER,
    COMMAND,
    GRACE_S,
    KEYS_FOLDER,
    SETTINGS_FILE,
    SETTINGS_FOLDER,
    SIGNING_FOLDER,
    STATE_FOLDER,
    gateway_url,
    tls_secret,
)
from isthmus.core.errors import InputError

ROLE = "evaluator"
"""Role of its pods."""
ATTEMPTS_AFTER_THE_FIRST = 2
"""Further pods of a job that was killed, or that could not ask the gateway. Each has the budget anew."""
_WRONG_OR_UNFINISHED = [1, 2]
"""Exit codes after which a further pod would do the same: a budget is used up, or settings or keys are wrong."""
_NEVER = "0 0 1 1 *"
"""Schedule of a job that only people start. It is suspended, because Kubernetes demands a schedule."""


class EvaluationArgs(TypedDict):
    """The evaluation of one workload."""

    workload: str
    """Name of the workload, and of its CronJob."""
    settings: dict[str, Any]
    """What the job reads (`isthmus.evaluation.jobs.JobSettings`)."""
    secret: str
    """Secret with `key`, and with `judge-key` if a judge scores."""
    cases_secret: NotRequired[str]
    """Secret with the files of `evaluations/WORKLOAD`."""
    cases_claim: NotRequired[str]
    """PersistentVolumeClaim with these files, in place of `cases_secret`."""
    volume: str
    """PersistentVolumeClaim for unfinished runs and results."""
    schedule: NotRequired[str]
    """When it runs, in UTC. Absent: when somebody starts a job."""
    minutes: int
    """Minutes that a job may ask."""


class EvaluatorArgs(TypedDict):
    """The evaluation jobs of one class at one site."""

    sensitivity: str
    """The class: public, internal, confidential or restricted."""
    image: pulumi.Input[str]
    """Image of the evaluator, by digest."""
    gateway_ip: pulumi.Input[str]
    """Address of the gateway's Service. The jobs use no DNS."""
    signing_secret: str
    """Secret with `evaluator.key`, with which results are signed."""
    jobs: list[EvaluationArgs]
    """The workloads that are evaluated."""
    cpu: str
    """CPUs of a job."""
    memory: str
    """Memory of a job."""
    certificate_secret: NotRequired[str]
    """A TLS Secret in place of a cert-manager Certificate."""
    issuer: NotRequired[CertificateIssuer]
    """The cert-manager issuer of their client certificate."""
    pull_secrets: NotRequired[list[str]]
    """Secrets of the image registry, in their namespace."""


class Evaluator(pulumi.ComponentResource):
    """A separate namespace with a CronJob for each workload that is evaluated."""

    namespace: pulumi.Output[str]
    """Name of the namespace: `isthmus-CLASS-evaluator`."""

    def __init__(self, name: str, args: EvaluatorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:Evaluator", name, without_outputs(dict(args)), opts)
        sensitivity = check_sensitivity(args["sensitivity"], name)
        for job in args["jobs"]:
            _check_gateway(job, sensitivity, name)
        namespace = evaluator_namespace(sensitivity)
        # Each workload's job and one that is ending.
        quota = pods_quota(2 * len(args["jobs"]), args["cpu"], args["memory"])
        namespace_object, isolation = create_isolated_namespace(name, namespace, sensitivity, quota, self)
        names = WorkloadNames(name, sensitivity, ROLE, namespace, self, [namespace_object])
        _, certificates = workload_certificate(
            names,
            issuer=args.get("issuer"),
            secret=args.get("certificate_secret"),
            client=True,
        )
        policy = names.create_network_policy(
            [], [serving_rule("to", class_namespace(sensitivity), "gateway", sensitivity)]
        )
        dependencies = [names.create_account(), policy, *certificates, *isolation]
        for job in args["jobs"]:
            _create_job(names, args, job, dependencies)
        self.namespace = namespace_object.metadata.apply(lambda meta: str(meta.name))
        self.register_outputs({"namespace": self.namespace})


def _check_gateway(job: EvaluationArgs, sensitivity: str, name: str) -> None:
    """Raise `InputError` if a job would ask another gateway than that of its class."""
    settings = job["settings"]
    if (settings.get("url"), settings.get("sensitivity")) != (gateway_url(sensitivity), sensitivity):
        raise InputError(
            f"the job of {job['workload']} would ask {settings.get('url') or 'no gateway'} as class"
            f" {settings.get('sensitivity')}, which is not the gateway of class {sensitivity}",
            where=f"{name}.jobs.{job['workload']}.settings",
            fix=f"Set url to {gateway_url(sensitivity)}, and sensitivity to {sensitivity}",
        )


def _create_job(
    names: WorkloadNames, args: EvaluatorArgs, job: EvaluationArgs, dependencies: list[pulumi.Resource]
) -> None:
    """Create the settings of a workload's job and its CronJob."""
    from pulumi_kubernetes.batch.v1 import CronJob
    from pulumi_kubernetes.core.v1 import ConfigMap

    workload = job["workload"]
    text = json.dumps(job["settings"], indent=1, sort_keys=True) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    config = ConfigMap(
        f"{names.name}-{workload}-settings",
        metadata=names.metadata(f"{workload}-{digest}"),
        data={SETTINGS_FILE: text},
        immutable=True,
        opts=names.options,
    )
    template = {
        "backoffLimit": ATTEMPTS_AFTER_THE_FIRST,
        "activeDeadlineSeconds": job["minutes"] * 60 + GRACE_S,
        "podFailurePolicy": {
            "rules": [
                {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                {
                    "action": "FailJob",
                    "onExitCodes": {
                        "containerName": ROLE,
                        "operator": "In",
                        "values": _WRONG_OR_UNFINISHED,
                    },
                },
            ]
        },
        "template": {"metadata": {"labels": names.labels}, "spec": _pod(names, args, job, config)},
    }
    spec: Any = {
        "schedule": job.get("schedule", _NEVER),
        "timeZone": "Etc/UTC",
        "suspend": "schedule" not in job,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"metadata": {"labels": names.labels}, "spec": template},
    }
    CronJob(
        f"{names.name}-{workload}",
        metadata=names.metadata(workload),
        spec=spec,
        opts=pulumi.ResourceOptions(parent=names.parent, depends_on=[*dependencies, config]),
    )


def _pod(names: WorkloadNames, args: EvaluatorArgs, job: EvaluationArgs, config: Any) -> dict[str, Any]:
    cases: dict[str, Any] = (
        {"secret": {"secretName": job["cases_secret"], "defaultMode": 0o440}}
        if "cases_secret" in job
        else {"persistentVolumeClaim": {"claimName": job.get("cases_claim"), "readOnly": True}}
    )
    secrets = {
        "keys": job["secret"],
        "signing": args["signing_secret"],
        "tls": args.get("certificate_secret") or tls_secret(names.sensitivity),
    }
    container = {
        "name": ROLE,
        "image": args["image"],
        "command": list(COMMAND),
        "volumeMounts": [
            {"name": "settings", "mountPath": SETTINGS_FOLDER, "readOnly": True},
            {"name": "cases", "mountPath": CASES_FOLDER, "readOnly": True},
            {"name": "keys", "mountPath": KEYS_FOLDER, "readOnly": True},
            {"name": "signing", "mountPath": SIGNING_FOLDER, "readOnly": True},
            TLS_MOUNT,
            {"name": "state", "mountPath": STATE_FOLDER},
            TMP_MOUNT,
        ],
        "resources": guaranteed_resources(args["cpu"], args["memory"]),
        "securityContext": container_security(),
    }
    hosts: list[tuple[Any, str]] = [(args["gateway_ip"], urlsplit(job["settings"]["url"]).hostname or "")]
    return pod_spec(
        names.service,
        [container],
        [
            {"name": "settings", "configMap": {"name": config.metadata["name"], "defaultMode": 0o440}},
            {"name": "cases", **cases},
            *(
                {"name": volume, "secret": {"secretName": secret, "defaultMode": 0o440}}
                for volume, secret in secrets.items()
            ),
            {"name": "state", "persistentVolumeClaim": {"claimName": job["volume"]}},
            TMP_VOLUME,
        ],
        pull_secrets=args.get("pull_secrets"),
        restartPolicy="Never",
        # The hosts file has the gateway: the pod asks no DNS, and the certificate is checked against the name.
        **with_host_aliases(hosts, no_dns()),
    )
