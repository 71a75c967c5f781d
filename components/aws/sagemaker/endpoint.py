"""The component SageMakerEndpoint: an isolated model in the VPC, updated without downtime."""

from typing import Any

import pulumi

from components.aws.common.names import aws_name, logical_name, partition
from components.aws.common.role_policy import role_policy
from components.aws.sagemaker.arguments import HostedNames, S3Weights, SageMakerEndpointArgs
from components.aws.sagemaker.container import container, environment, model
from components.aws.sagemaker.role import ModelFiles, execution_role, role_name, statements
from components.aws.sagemaker.rollout import SHADOW, VARIANT, alarms, deployment, scale
from components.aws.sagemaker.storage import bucket_name, capture_bucket, container_log, sealing_key
from components.base.argument_checks import MODES, check_choice, check_sensitivity, may_use_aws
from isthmus.contracts.platform.model.aws.sagemaker import MAX_START_S, has_disks
from isthmus.contracts.reference import handling
from isthmus.core.errors import EnvironmentFault, InputError, Refused

MAX_NAME = 63
"""Maximum length of an endpoint's, a configuration's and a model's name (botocore's model)."""


def endpoint_name(name: str) -> str:
    """The endpoint's name in AWS, which is known before creation and independent of settings."""
    return aws_name(name, MAX_NAME).lower()


def hosted_names(name: str) -> HostedNames:
    """Names of the model's resources before creation, for policies of roles and private endpoints."""
    return {"endpoint": endpoint_name(name), "role": role_name(name), "bucket": bucket_name(name)}


def endpoint_arn(name: str, region: str, account: pulumi.Input[str]) -> pulumi.Output[str]:
    """ARN of the endpoint, for callers."""
    return pulumi.Output.format(
        "arn:{}:sagemaker:{}:{}:endpoint/{}", partition(region), region, account, endpoint_name(name)
    )


class SageMakerEndpoint(pulumi.ComponentResource):
    """A model, its endpoint configuration, and its endpoint.

    Model and configuration have generated names, so that each change creates new ones beside those that serve. The
    endpoint moves over in steps and rolls back on an alarm. The old ones are deleted last.
    """

    endpoint_name: pulumi.Output[str]
    """Name of the endpoint in AWS."""
    endpoint_arn: pulumi.Output[str]
    """ARN of the endpoint."""
    configuration: pulumi.Output[str]
    """Name of the serving configuration."""
    role_arn: pulumi.Output[str]
    """ARN of the role with which SageMaker fetches weights and image."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains: captured content and its key."""

    def __init__(
        self, name: str, args: SageMakerEndpointArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("isthmus:index:SageMakerEndpoint", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output

        where = f"endpoints.{args['id']}"
        sensitivity = check_sensitivity(args["sensitivity"], where)
        may_use_aws(sensitivity, where, target="sagemaker")
        _check(args, where)
        variables = environment(args, args["model"], args["weights"], where)
        self._name, self._args, self._where = name, args, where
        self._child = pulumi.ResourceOptions(parent=self)
        self._tags = {
            **args.get("tags", {}),
            "isthmus.dev/class": sensitivity,
            "isthmus.dev/endpoint": args["id"],
        }
        self._names = args.get("names") or hosted_names(name)
        self._endpoint = self._names["endpoint"]
        self._account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        self._retained: list[pulumi.Output[str]] = []
        self._ready: list[pulumi.Resource] = []
        self._key = self._sealing_key()
        captured = self._captured()
        self._group_id = self._group()
        self.role_arn = self._role(captured).arn
        log_days = args.get("log_days", 365)
        self._ready.append(
            container_log(name, self._endpoint, self._key, log_days, where, self._tags, self._child)
        )
        served_model = self._model("model", container(args["image"], args["weights"], variables))
        config = self._configuration(served_model, self._shadow(), captured)
        endpoint = self._create_endpoint(config)
        self.endpoint_name, self.endpoint_arn = endpoint.name, endpoint.arn
        self.configuration = pulumi.Output.all(endpoint.endpoint_config_name, config.name).apply(
            lambda names: _check_moved(names[0], names[1], where)
        )
        self.retained = pulumi.Output.all(*self._retained)
        self.register_outputs(
            {
                "endpoint_name": self.endpoint_name,
                "endpoint_arn": self.endpoint_arn,
                "configuration": self.configuration,
                "role_arn": self.role_arn,
                "retained": self.retained,
            }
        )

    @property
    def _start_s(self) -> int:
        return max(60, self._args.get("load_timeout_s", 1800))

    def _sealing_key(self) -> pulumi.Output[str] | None:
        """ARN of the key of the endpoint's storage. None: no key."""
        capture = self._args.get("capture")
        return sealing_key(
            self._name,
            self._endpoint,
            self._args.get("key", {"mode": "manage"}),
            region=self._args["region"],
            account=self._account,
            is_retained=capture is not None and "bucket" not in capture,
            tags=self._tags,
            parent=self,
        )

    def _captured(self) -> tuple[pulumi.Output[str], pulumi.Output[str]] | None:
        """Name and ARN of the bucket for prompts and answers, if they are stored."""
        capture = self._args.get("capture")
        if capture is None or self._key is None:
            return None
        if (bucket_name_given := capture.get("bucket")) is not None:
            arn = f"arn:{partition(self._args['region'])}:s3:::{bucket_name_given}"
            return pulumi.Output.from_input(bucket_name_given), pulumi.Output.from_input(arn)
        bucket, ready = capture_bucket(
            self._name, self._names["bucket"], self._key, capture["days"], self._tags, self
        )
        self._retained += [bucket.arn, self._key]
        self._ready += ready
        return bucket.id, bucket.arn

    def _group(self) -> pulumi.Output[str]:
        """The security group: no ingress, and egress to S3 only, which SageMaker itself uses to fetch weights and
        store captures.
        """
        from pulumi_aws import ec2, vpc

        args = self._args
        description = f"{args['id']}: to S3 alone"
        s3 = ec2.get_prefix_list_output(
            name=f"com.amazonaws.{args['region']}.s3", opts=pulumi.InvokeOutputOptions(parent=self)
        )
        group = ec2.SecurityGroup(
            f"{self._name}-group",
            description=description,
            vpc_id=args["vpc_id"],
            tags={**self._tags, "Name": self._name},
            opts=self._child,
        )
        rule = vpc.SecurityGroupEgressRule(
            f"{self._name}-s3",
            security_group_id=group.id,
            description=description,
            ip_protocol="tcp",
            from_port=443,
            to_port=443,
            prefix_list_id=s3.id,
            tags=self._tags,
            opts=self._child,
        )
        self._ready.append(rule)
        return group.id

    def _role(self, captured: Any) -> Any:
        """The role with which SageMaker fetches weights and images, and writes the log and captures."""
        args, shadow = self._args, self._args.get("shadow")
        keys = [self._key] if captured is not None and self._key is not None else []
        if "weights_key" in args:
            keys.append(pulumi.Output.from_input(args["weights_key"]))
        files = ModelFiles(
            uris=[args["weights"]["uri"], *([shadow["uri"]] if shadow else [])],
            images=sorted({args["image"], *([shadow["image"]] if shadow and "image" in shadow else [])}),
            captured=captured[1] if captured is not None else None,
            keys=keys,
        )
        role_statements = statements(
            self._endpoint,
            files,
            region=args["region"],
            account=self._account,
            subnets=args["subnet_ids"],
            group=self._group_id,
        )
        role = execution_role(
            self._name,
            self._names["role"],
            account=self._account,
            boundary=args.get("permissions_boundary"),
            role_statements=role_statements,
            tags=self._tags,
            opts=self._child,
        )
        policy = role_policy(f"{self._name}-execution-policy", role, role_statements, self._child)
        self._ready.append(policy)
        return role

    def _model(self, suffix: str, box: dict[str, Any]) -> Any:
        """A model in the VPC, after everything that it fetches and writes exists."""
        return model(
            logical_name(f"{self._name}-{suffix}", MAX_NAME),
            box,
            role=self.role_arn,
            group=self._group_id,
            subnets=self._args["subnet_ids"],
            tags=self._tags,
            opts=self._model_opts,
        )

    @property
    def _model_opts(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(self._ready))

    def _shadow(self) -> dict[str, Any] | None:
        """The variant of the shadow model, which gets a copy of some requests."""
        args, shadow = self._args, self._args.get("shadow")
        if shadow is None:
            return None
        weights: S3Weights = {"uri": shadow["uri"], "digest": shadow["digest"]}
        variables = environment(args, args["model"], weights, f"{self._where}.shadow")
        box = container(shadow.get("image") or args["image"], weights, variables)
        kind = shadow.get("instance_type") or args["instance_type"]
        variant = self._variant(SHADOW, self._model("shadow", box), kind, shadow.get("instances", 1))
        # Weights are relative to the served variant's, which is 1.
        return {**variant, "initial_variant_weight": shadow["sampling_pct"] / 100}

    def _variant(self, variant: str, served_model: Any, kind: str, instances: int) -> dict[str, Any]:
        args = self._args
        variant_fields: dict[str, Any] = {
            "variant_name": variant,
            "model_name": served_model.name,
            "instance_type": kind,
            "initial_instance_count": instances,
            "initial_variant_weight": 1.0,
            "model_data_download_timeout_in_seconds": self._start_s,
            "container_startup_health_check_timeout_in_seconds": self._start_s,
        }
        if "inference_ami" in args:
            variant_fields["inference_ami_version"] = args["inference_ami"]
        if "volume_gib" in args:
            variant_fields["volume_size_in_gb"] = args["volume_gib"]
        return variant_fields

    def _configuration(self, served_model: Any, shadow: dict[str, Any] | None, captured: Any) -> Any:
        from pulumi_aws.sagemaker import EndpointConfiguration

        args, capture = self._args, self._args.get("capture")
        settings: dict[str, Any] = {}
        kinds = [args["instance_type"], *([shadow["instance_type"]] if shadow else [])]
        if self._key is not None and not any(map(has_disks, kinds)):
            settings["kms_key_arn"] = self._key
        if shadow is not None:
            settings["shadow_production_variants"] = [shadow]
        if capture is not None and captured is not None:
            settings["data_capture_config"] = {
                "enable_capture": True,
                "initial_sampling_percentage": capture["sampling_pct"],
                "destination_s3_uri": pulumi.Output.format("s3://{}/{}/", captured[0], self._endpoint),
                "kms_key_id": self._key,
                "capture_options": [{"capture_mode": "Input"}, {"capture_mode": "Output"}],
                "capture_content_type_header": {"json_content_types": ["application/json"]},
            }
        return EndpointConfiguration(
            logical_name(f"{self._name}-config", MAX_NAME),
            production_variants=[
                self._variant(VARIANT, served_model, args["instance_type"], args["replicas"])  # type: ignore[list-item]
            ],
            tags=self._tags,
            opts=self._model_opts,
            **settings,
        )

    def _create_endpoint(self, config: Any) -> Any:
        """Create the endpoint, its alarms and its autoscaling."""
        from pulumi_aws.sagemaker import Endpoint

        name, args = self._name, self._args
        rollback_alarms = alarms(name, self._endpoint, args.get("rollback", {}), self._tags, self._child)
        endpoint = Endpoint(
            f"{name}-endpoint",
            name=self._endpoint,
            endpoint_config_name=config.name,
            deployment_config=deployment(args.get("rollout", {}), rollback_alarms, self._start_s),  # type: ignore[arg-type]
            tags=self._tags,
            opts=self._child,
        )
        if (scaling := args.get("autoscaling")) is not None:
            scale(name, endpoint.name, scaling, self._tags, self)
        return endpoint


def _check_moved(serving: str, expected: str, where: str) -> str:
    """The serving configuration. Raises an error if AWS has rolled the deployment back, because the serving one
    must not be deleted.
    """
    if serving != expected:
        raise EnvironmentFault(
            f"AWS has rolled the deployment back: {serving} still serves, not {expected}",
            where=where,
            fix="Check the endpoint's alarms and its log; then correct the change, or run the same command "
            "again. No serving model was deleted",
        )
    return serving


def _check(args: SageMakerEndpointArgs, where: str) -> None:
    """Check arguments of direct users of the component. The platform's contract checks more."""
    key, capture = args.get("key", {"mode": "manage"}), args.get("capture")
    check_choice(key["mode"], MODES, f"{where}.key.mode")
    class_handling = handling.handling_of(args["sensitivity"])
    if key["mode"] == "existing" and not key.get("arn"):
        raise InputError(
            "the existing key has no arn", where=f"{where}.key.arn", fix="Set arn to the key's ARN"
        )
    if key["mode"] == "off" and (class_handling.own_keys or capture is not None):
        raise Refused(
            f"{args['sensitivity']} work, or captured content, needs a key of the organisation",
            where=f"{where}.key.mode",
            fix="Set key.mode to `manage`, or to `existing` with its arn",
        )
    if capture is not None and (
        class_handling.content_days_max is not None
        and not 0 < capture["days"] <= class_handling.content_days_max
    ):
        raise Refused(
            f"prompts and answers of {args['sensitivity']} work would be kept for {capture['days']} days",
            where=f"{where}.capture",
            fix=f"Set capture.days to at most {class_handling.content_days_max}",
        )
    if not args["weights"]["uri"].startswith("s3://") or not args["weights"]["uri"].endswith("/"):
        raise InputError(
            f"'{args['weights']['uri']}' is not a folder in S3",
            where=f"{where}.weights",
            fix="Write it like s3://BUCKET/PREFIX/",
        )
    if args.get("load_timeout_s", 0) > MAX_START_S:
        raise InputError(
            f"SageMaker waits at most {MAX_START_S} s",
            where=f"{where}.load_timeout_s",
            fix="Lower load_timeout_s",
        )
    check_choice(
        args.get("rollout", {}).get("kind", "canary"), ("canary", "linear", "all-at-once"), f"{where}.rollout"
    )
