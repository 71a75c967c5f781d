"""The component AuditTrail: a site's audit store and the account's CloudTrail."""

from typing import NotRequired, TypedDict

import pulumi

from components.aws.common.names import partition
from components.aws.common.topic import check_emails
from components.aws.records.cloud_trail import Trail, TrailSettings, check_trail, delivery, make_trail
from components.aws.records.store import AuditOptions, Delivery, Store, make_key, make_store
from components.aws.records.trail_alarms import Watched, make_alarms
from components.base.argument_checks import MODES, check_choice
from isthmus.core.errors import InputError


class AuditTrailArgs(TypedDict):
    """The write-once store of a site's audit records, and the trail of its API calls."""

    name: str
    """Name of the store."""
    site: str
    """Name of the site of the records."""
    mode: str
    """`manage`: created here, on AWS. `existing`: the organisation's, named below. `off`: none."""
    retention_days: int
    """Days for which nobody can delete a record."""
    delete_after_retention: NotRequired[bool]
    """`manage`: whether S3 deletes records after `retention_days` (default true)."""
    region: NotRequired[str]
    """AWS region, for `manage` and for a trail."""
    endpoint: NotRequired[str]
    """`existing`: URL of the S3-compatible service. Absent: AWS's own."""
    bucket: NotRequired[str]
    """`existing`: the bucket, with Object Lock."""
    trail: NotRequired[TrailSettings]
    """The trail of the AWS account. Absent: none."""
    kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the organisation's key that encrypts records. Absent: keys are created."""
    sealers: NotRequired[list[str]]
    """`manage`: names of the only roles that may put seals, as IAM patterns (`?`, `*`). Absent: nobody may."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class AuditTrail(pulumi.ComponentResource):
    """A store of audit records that nobody can change or delete before the end of their retention, and CloudTrail's
    delivery to it.

    Resources that hold records stay after a destroy; `retained` lists them. Losing a key would lose the records.
    The trail itself and its alarms are deleted.
    """

    bucket: pulumi.Output[str]
    """Name of the bucket. Empty with `off`."""
    endpoint: pulumi.Output[str]
    """URL of an S3-compatible service. Empty for AWS's own."""
    trail_arn: pulumi.Output[str]
    """ARN of the trail. Empty without one, or if an existing one is not named."""
    log_group: pulumi.Output[str]
    """Name of the log group with the searchable copy. Empty if no trail is created."""
    alarm_topic: pulumi.Output[str]
    """ARN of the topic of the alarms. Empty if no trail is created."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains."""

    def __init__(self, name: str, args: AuditTrailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:AuditTrail", name, dict(args), opts)
        where = f"audit.{args['name']}"
        mode = check_choice(args["mode"], MODES, f"{where}.mode")
        if mode == "existing" and not args.get("bucket"):
            raise InputError("the audit store has no bucket", where=where, fix="Set `bucket`")
        if mode == "manage" and not args.get("region"):
            raise InputError(
                "an audit store can only be created on AWS",
                where=where,
                fix="On-prem, set mode to 'existing' and bucket to an S3-compatible store with object lock",
            )
        trail = _trail(args, mode, where)
        existing = mode == "existing"
        self.bucket = pulumi.Output.from_input(args.get("bucket", "") if existing else "")
        self.endpoint = pulumi.Output.from_input(args.get("endpoint", "") if existing else "")
        trail_settings = args.get("trail", {})
        self.trail_arn = pulumi.Output.from_input(
            trail_settings.get("arn", "") if trail_settings.get("mode") == "existing" else ""
        )
        self.log_group = self.alarm_topic = pulumi.Output.from_input("")
        self.retained = pulumi.Output.from_input([])
        # ARNs of created resources, for readers of encrypted records.
        self.records: dict[str, pulumi.Output[str]] = {}
        if mode == "manage" or trail:
            self._make(name, args, trail, where)
        self.register_outputs(
            {
                "bucket": self.bucket,
                "endpoint": self.endpoint,
                "trail_arn": self.trail_arn,
                "log_group": self.log_group,
                "alarm_topic": self.alarm_topic,
                "retained": self.retained,
            }
        )

    def _make(self, name: str, args: AuditTrailArgs, trail: TrailSettings | None, where: str) -> None:
        """Create the store, and the trail that delivers to it."""
        from pulumi_aws import get_caller_identity_output

        options = AuditOptions(
            site=args["site"],
            region=args.get("region", ""),
            account=get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id,
            tags={**args.get("tags", {}), "isthmus.dev/audit": args["name"]},
            parent=self,
            kms_key=args.get("kms_key"),
        )
        trail_delivery = (
            delivery(f"{name}-trail", trail["organization"], options.region, options.account, self)
            if trail
            else None
        )
        store = self._store(name, args, trail_delivery, options)
        self.bucket = store.bucket
        self.records = {"bucket": store.bucket_arn, "key": store.key_arn}
        retained = list(store.retained)
        if trail and trail_delivery:
            trail_records = make_trail(f"{name}-trail", trail, store, trail_delivery, options, where)
            retained += trail_records.retained
            self.records["log_group"] = trail_records.retained[0]
            self.trail_arn, self.log_group = trail_records.arn, trail_records.log_group
            self.alarm_topic = self._guard(name, trail, store, trail_records, options)
        self.retained = pulumi.Output.all(*retained)

    def _guard(
        self, name: str, trail: TrailSettings, store: Store, records: Trail, options: AuditOptions
    ) -> pulumi.Output[str]:
        """Create the alarms of the trail. Returns the ARN of their topic."""
        return make_alarms(
            f"{name}-alarms",
            Watched(records.arn, store.bucket, store.key_arn, records.log_group),
            sorted(set(trail["notify"])),
            region=options.region,
            account=options.account,
            tags=options.tags,
            parent=self,
        ).arn

    def _store(
        self, name: str, args: AuditTrailArgs, trail_delivery: Delivery | None, options: AuditOptions
    ) -> Store:
        """Create the store. For an existing bucket, create only the key with which the trail encrypts."""
        aws_partition = partition(options.region)
        sealer_arns = [
            pulumi.Output.format("arn:{}:iam::{}:role/{}", aws_partition, options.account, role_name)
            for role_name in args.get("sealers", [])
        ]
        if args["mode"] == "manage":
            return make_store(
                name,
                options,
                retention_days=args["retention_days"],
                delete_after_retention=args.get("delete_after_retention", True),
                delivery=trail_delivery,
                sealers=sealer_arns,
            )
        bucket = args.get("bucket", "")
        arn = pulumi.Output.from_input(f"arn:{aws_partition}:s3:::{bucket}")
        if kms_key := args.get("kms_key"):
            return Store(pulumi.Output.from_input(bucket), arn, pulumi.Output.from_input(kms_key), [], [])
        key = make_key(name, options, trail_delivery)
        return Store(pulumi.Output.from_input(bucket), arn, key.arn, [key.arn], [key])


def _trail(args: AuditTrailArgs, mode: str, where: str) -> TrailSettings | None:
    """The checked trail to create. None: no trail is created."""
    trail = args.get("trail")
    if not trail or check_choice(trail["mode"], MODES, f"{where}.trail.mode") != "manage":
        return None
    check_trail(trail, mode, args.get("endpoint", ""), args["retention_days"], where)
    if not args.get("region"):
        raise InputError(
            "a trail needs a home region", where=f"{where}.trail", fix="Set the store's `region`"
        )
    check_emails(trail["notify"], f"{where}.trail", "nobody would be told that the trail was switched off")
    return trail
