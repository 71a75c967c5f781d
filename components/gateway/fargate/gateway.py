"""The component FargateGateway: a class's edge and translator on AWS Fargate."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.names import aws_name
from components.base.argument_checks import check_choice, check_sensitivity, may_use_aws, without_outputs
from components.gateway.fargate import tasks
from components.gateway.fargate.load_balancer import TASKS, Door, TaskNetwork
from components.gateway.fargate.records import SEALER_PORTS, FargateAudit, FargateRecords
from components.gateway.fargate.scaling import scale_service
from components.gateway.fargate.scraping import HealthPort, allow_scrapers
from components.gateway.translator.translator import CloudModel
from isthmus.contracts.platform.lookups.sign_on import KEYS_VARIABLE
from isthmus.contracts.platform.model.aws.fargate import SIZES
from isthmus.core.errors import InputError

PLATFORM = "1.4.0"
"""Fargate's platform version. Pinned, because AWS can change the meaning of `LATEST`."""


class FargateSettings(TypedDict):
    """How a gateway's tasks run, and which clients may call them."""

    clients: list[str]
    """Networks of the applications that may call it on port 443."""
    principals: NotRequired[list[str]]
    """ARNs of accounts, roles or users that may reach it with AWS PrivateLink. Absent: nobody."""
    scrapers: NotRequired[list[str]]
    """Private networks of the Prometheus that reads the metrics of its tasks. Absent: nobody."""
    translator_secret: str
    """ARN of the translator's certificate in Secrets Manager: JSON with `certificate`, `key` and `ca`."""
    secrets_key: NotRequired[str]
    """ARN of the organisation's key that encrypts the secrets. Absent: Secrets Manager's own."""
    zone_id: NotRequired[str]
    """Private hosted zone for the DNS name. Absent: a zone with that name is created."""
    cpu: NotRequired[int]
    """CPU units of each task (default 1024, one CPU)."""
    memory: NotRequired[int]
    """MiB of each task (default 2048)."""
    architecture: NotRequired[str]
    """CPU architecture of the images: `x86_64` (default) or `arm64`."""
    log_days: NotRequired[int]
    """Retention of the logs in days (default 365)."""


class FargateSignOn(TypedDict):
    """The organisation's sign-on, whose access tokens the gateway accepts."""

    tokens: dict[str, Any]
    """Section `tokens` of the edge's configuration (docs/sign-on.md)."""
    keys_secret: str
    """ARN of the secret whose text is the issuer's public keys (JWKS)."""


class FargateRoute(TypedDict):
    """The route of one workload's requests."""

    workload: str
    """Name of the workload, which callers give as the model."""
    endpoint: str
    """Name of the translator's model."""
    interfaces: NotRequired[list[str]]
    """How applications may ask it beside chat: responses, messages."""
    fallback: NotRequired[list[str]]
    """Names of other models of the translator, in order, for chats that the route's own model cannot serve."""


class FargateGatewayArgs(TypedDict):
    """The gateway of one class at one AWS site."""

    name: str
    """Name of the gateway."""
    sensitivity: str
    """The class: public, internal or confidential; never restricted."""
    site: str
    """Name of the site."""
    region: str
    """AWS region of the site."""
    host: str
    """DNS name for applications, which its certificate contains."""
    image: pulumi.Input[str]
    """Image of the edge in Amazon ECR, by digest."""
    translator_image: pulumi.Input[str]
    """Image of the translator in Amazon ECR, by digest."""
    routes: list[FargateRoute]
    """The workloads that it serves, and their models."""
    models: list[CloudModel]
    """The models that the translator may call."""
    callers_secret: str
    """ARN of the secret whose text is `callers.yaml`: SHA-256 of each key, and its workload."""
    certificate_secret: str
    """ARN of the gateway's certificate in Secrets Manager: JSON with `certificate`, `key` and `ca`."""
    fargate: FargateSettings
    """How its tasks run, and which clients may call them."""
    replicas: NotRequired[int]
    """Number of tasks of each kind (default 2), spread over the subnets' zones."""
    max_replicas: NotRequired[int]
    """Most tasks of each kind: AWS adds them above 70 % of their CPU. Absent: always `replicas`."""
    vpc_id: pulumi.Input[str]
    """Id of the VPC."""
    subnet_ids: pulumi.Input[Sequence[pulumi.Input[str]]]
    """Ids of private subnets, in two zones at least."""
    endpoints_group: pulumi.Input[str]
    """Id of the security group of the VPC's private endpoints."""
    s3_prefix_list: pulumi.Input[str]
    """Id of the prefix list of S3's gateway endpoint."""
    task_role: pulumi.Input[str]
    """ARN of the role of the translator's tasks: the class's identity. The edge's tasks have that of `audit`."""
    execution_roles: dict[str, pulumi.Input[str]]
    """ARN of the execution role of each task: `edge`, `translator`, and with `audit` `sealer`."""
    log_group: pulumi.Input[str]
    """Name of the log group."""
    audit: NotRequired[FargateAudit]
    """Its audit records, and the task that seals them. Absent: no records."""
    sign_on: NotRequired[FargateSignOn]
    """The sign-on whose access tokens it accepts beside keys and certificates. Absent: none."""
    exception: NotRequired[str]
    """Reference of the recorded exception that allows a confidential class to use AWS."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class FargateGateway(pulumi.ComponentResource):
    """The edge of one class and its translator as two ECS services, behind one internal load balancer.

    They are two tasks, not two containers of one task: a task's role belongs to all its containers, and only the
    translator may have the class's AWS identity.
    """

    address: pulumi.Output[str]
    """URL with which applications of the class call it."""
    service: pulumi.Output[str]
    """The edge's service, as CLUSTER/SERVICE."""
    endpoint_service: pulumi.Output[str]
    """Name of its AWS PrivateLink service. Empty without `principals`."""

    def __init__(
        self, name: str, args: FargateGatewayArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        # As in InferenceGateway: registered without outputs of other components.
        super().__init__("isthmus:index:FargateGateway", name, without_outputs(dict(args)), opts)
        from pulumi_aws import ecs

        where = f"gateways.{args['name']}"
        sensitivity = check_sensitivity(args["sensitivity"], where)
        may_use_aws(sensitivity, where, args.get("exception", ""))
        settings = args["fargate"]
        self._size = _size(settings, f"{where}.fargate")
        subnets: Any = args["subnet_ids"]
        if isinstance(subnets, list) and len(subnets) < 2:
            raise InputError(
                f"{len(subnets)} subnets: the failure of one zone could take down the gateway",
                where=f"{where}.subnet_ids",
                fix="List private subnets in at least two zones",
            )
        self._name, self._args, self._where = name, args, where
        self._child = pulumi.ResourceOptions(parent=self)
        self._tags = {**args.get("tags", {}), "isthmus.dev/class": sensitivity}
        self._door = Door(
            name,
            TaskNetwork(args["vpc_id"], subnets, args["endpoints_group"], args["s3_prefix_list"]),
            clients=settings["clients"],
            where=f"{where}.fargate",
            tags=self._tags,
            opts=self._child,
        )
        self._records = self._create_records()
        self._allow_scrapers()
        self._cluster = ecs.Cluster(
            f"{name}-cluster",
            name=aws_name(name, 255),
            settings=[{"name": "containerInsights", "value": "enabled"}],
            tags=self._tags,
            opts=self._child,
        )
        self.services: dict[str, pulumi.Output[str]] = {}
        edge_service = self._create_services(sensitivity)
        record = self._door.create_record(args["host"], args["region"], settings.get("zone_id"))
        principals = settings.get("principals", [])
        self.endpoint_service = (
            self._door.create_endpoint_service(principals) if principals else pulumi.Output.from_input("")
        )
        # Known when the name resolves to serving tasks.
        self.address = pulumi.Output.all(record.id, edge_service.id).apply(
            lambda _: f"https://{args['host']}"
        )
        self.service = self.services["edge"]
        self.register_outputs(
            {
                "address": self.address,
                "service": self.service,
                "endpoint_service": self.endpoint_service,
            }
        )

    def _create_records(self) -> FargateRecords | None:
        args = self._args
        if "audit" not in args:
            return None
        return FargateRecords(
            self._name,
            args["audit"],
            vpc_id=args["vpc_id"],
            edge_group=self._door.groups["edge"],
            endpoints_group=args["endpoints_group"],
            s3_prefix_list=args["s3_prefix_list"],
            tags=self._tags,
            opts=self._child,
        )

    def _allow_scrapers(self) -> None:
        ports = {task: HealthPort(group, TASKS[task][-1]) for task, group in self._door.groups.items()}
        if self._records is not None:
            ports["sealer"] = HealthPort(self._records.group, SEALER_PORTS[-1])
        scrapers, where = self._args["fargate"].get("scrapers", []), f"{self._where}.fargate.scrapers"
        allow_scrapers(self._name, scrapers, ports, where=where, tags=self._tags, opts=self._child)

    def _create_services(self, sensitivity: str) -> Any:
        """Create translator, sealer and edge. Returns the edge's service."""
        args = self._args
        # The translator first, so that the edge can send requests when it starts.
        translator_config = self._translator_config(sensitivity)
        translator = self._serve(
            "translator", args["translator_image"], translator_config, [], args["task_role"]
        )
        dependencies = [translator]
        if self._records is not None and "audit" in args:
            # Before the edge, because its tasks serve nothing until a sealer runs.
            sealer = self._records.sealer(sensitivity, args["site"], args["region"])
            role = args["audit"]["sealer_role"]
            dependencies.append(self._serve("sealer", args["translator_image"], sealer, [], role))
        mounting_role = args["audit"]["task_role"] if "audit" in args else None
        return self._serve("edge", args["image"], self._edge_config(sensitivity), dependencies, mounting_role)

    def _edge_config(self, sensitivity: str) -> pulumi.Output[dict[str, Any]]:
        args = self._args
        server = translator_host(args["host"], sensitivity)

        def configure(balancer: Any) -> dict[str, Any]:
            def at_translator(model: str) -> dict[str, Any]:
                url = f"https://{balancer}:{tasks.TRANSLATOR_PORT}"
                return {"url": url, "server_name": server, "model": model}

            return tasks.edge_config(
                sensitivity,
                args["site"],
                [
                    {
                        "workload": route["workload"],
                        **at_translator(route["endpoint"]),
                        **({"interfaces": route["interfaces"]} if "interfaces" in route else {}),
                        **(
                            {"fallback": [at_translator(model) for model in route["fallback"]]}
                            if "fallback" in route
                            else {}
                        ),
                    }
                    for route in args["routes"]
                ],
                self._records.section if self._records is not None else None,
                args["sign_on"]["tokens"] if "sign_on" in args else None,
            )

        tasks.check_size(configure("x" * tasks.KNOWN_LATER_CHARACTERS), self._where)
        return self._door.balancer.dns_name.apply(configure)

    def _translator_config(self, sensitivity: str) -> pulumi.Output[dict[str, Any]]:
        models = [{**model, "endpoint_url": model.get("endpoint_url")} for model in self._args["models"]]
        tasks.check_size({"models": models}, self._where)
        return pulumi.Output.from_input(models).apply(
            lambda resolved: tasks.translator_task_config(sensitivity, self._args["host"], resolved)
        )

    def _serve(self, task: str, image: Any, config: Any, dependencies: list[Any], role: Any) -> Any:
        """Create a task definition and its service, spread over the zones."""
        from pulumi_aws import ecs

        name = f"{self._name}-{task}"
        definition = self._create_task_definition(name, task, image, config, role)
        scaled = task in TASKS and self._most_tasks > self._tasks
        service = ecs.Service(
            f"{name}-service",
            name=aws_name(name, 255),
            cluster=self._cluster.arn,
            task_definition=definition.arn,
            launch_type="FARGATE",
            platform_version=PLATFORM,
            # ECS itself rolls back a version that does not start.
            deployment_circuit_breaker={"enable": True, "rollback": True},
            enable_execute_command=False,
            enable_ecs_managed_tags=True,
            propagate_tags="SERVICE",
            # The earlier revision is kept until then, because ECS would roll back to it.
            wait_for_steady_state=True,
            tags=self._tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*self._dependencies(task), *dependencies],
                # Otherwise each `up` would set back what the autoscaling chose.
                ignore_changes=["desiredCount"] if scaled else None,
                custom_timeouts=pulumi.CustomTimeouts(create="20m", update="30m", delete="20m"),
            ),
            **self._running(task),
        )
        self.services[task] = pulumi.Output.concat(self._cluster.name, "/", service.name)
        if scaled:
            tasks = self._tasks, self._most_tasks
            scale_service(name, self._cluster.name, service, tasks, self._tags, self)
        return service

    @property
    def _tasks(self) -> int:
        """Tasks of edge and translator each, and the fewest if they scale."""
        return self._args.get("replicas", 2)

    @property
    def _most_tasks(self) -> int:
        return self._args.get("max_replicas", self._tasks)

    def _create_task_definition(self, name: str, task: str, image: Any, config: Any, role: Any) -> Any:
        from pulumi_aws import ecs

        args = self._args
        cpu, memory, architecture = self._size
        isolation = {
            # Only the task's role: no shared credentials file, no metadata service of an instance.
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        share_user = {"edge": "gateway", "sealer": "sealer"}.get(task) if self._records is not None else None
        shared: Any = (
            {"volumes": self._records.volumes(share_user)} if self._records is not None and share_user else {}
        )
        return ecs.TaskDefinition(
            f"{name}-task",
            family=aws_name(name, 255),
            network_mode="awsvpc",
            requires_compatibilities=["FARGATE"],
            cpu=str(cpu),
            memory=str(memory),
            runtime_platform={"operating_system_family": "LINUX", "cpu_architecture": architecture.upper()},
            execution_role_arn=args["execution_roles"][task],
            task_role_arn=role,
            container_definitions=tasks.container(
                task,
                image,
                config,
                ports=TASKS.get(task, SEALER_PORTS),
                secrets=self._secrets(task),
                variables=isolation if role is not None else {},
                logs=tasks.LogGroup(args["log_group"], args["region"]),
                mounts=FargateRecords.mounts(share_user) if share_user else (),
            ),
            tags=self._tags,
            opts=self._child,
            **shared,
        )

    def _secrets(self, task: str) -> list[dict[str, str]]:
        """The secrets of a task."""
        args = self._args
        if task == "sealer":
            return self._records.sealer_secrets() if self._records is not None else []
        if task == "translator":
            return tasks.tls_secrets(args["fargate"]["translator_secret"])
        secrets = [*tasks.tls_secrets(args["certificate_secret"])]
        secrets.append({"name": "EDGE_CALLERS", "valueFrom": args["callers_secret"]})
        if "sign_on" in args:
            secrets.append({"name": KEYS_VARIABLE, "valueFrom": args["sign_on"]["keys_secret"]})
        return [*secrets, *(self._records.edge_secrets() if self._records is not None else [])]

    def _dependencies(self, task: str) -> list[Any]:
        """Dependencies of a service: the listener of its targets, and the egress rules that it needs to start."""
        shared = self._records.rules if self._records is not None and task != "translator" else []
        return [*([self._door.listeners[task]] if task in TASKS else []), *self._door.rules, *shared]

    def _running(self, task: str) -> dict[str, Any]:
        """Number of tasks of a service, the order of their replacement, and the targets of the load balancer."""
        args = self._args
        if task == "sealer":
            assert self._records is not None
            return {
                "desired_count": 1,
                # Never two at once: the second would find its seal's name taken, and start again.
                "deployment_minimum_healthy_percent": 0,
                "deployment_maximum_percent": 100,
                "network_configuration": self._records.network(args["subnet_ids"]),
            }
        return {
            "desired_count": self._tasks,
            # Old tasks serve until new ones do.
            "deployment_minimum_healthy_percent": 100,
            "deployment_maximum_percent": 200,
            "availability_zone_rebalancing": "ENABLED",
            "network_configuration": {
                "subnets": args["subnet_ids"],
                "security_groups": [self._door.groups[task]],
                "assign_public_ip": False,
            },
            "load_balancers": [
                {
                    "target_group_arn": self._door.targets[task].arn,
                    "container_name": task,
                    "container_port": TASKS[task][0],
                }
            ],
            "health_check_grace_period_seconds": 180,
        }


def translator_host(host: str, sensitivity: str) -> str:
    """The name in the translator's certificate, derived from the gateway's."""
    return f"{sensitivity}-translator.{host.partition('.')[2]}"


def _size(settings: FargateSettings, where: str) -> tuple[int, int, str]:
    cpu, memory = settings.get("cpu", 1024), settings.get("memory", 2048)
    if memory not in SIZES.get(cpu, ()):
        allowed = "; ".join(f"{units}: {sizes[0]} to {sizes[-1]}" for units, sizes in SIZES.items())
        raise InputError(
            f"{memory} MiB with {cpu} CPU units is not a size that Fargate offers",
            where=f"{where}.memory",
            fix=f"Use one of these (CPU units: MiB in steps of 1024): {allowed}",
        )
    architecture = check_choice(
        settings.get("architecture", "x86_64"), ("x86_64", "arm64"), f"{where}.architecture"
    )
    return cpu, memory, architecture


__all__ = ["FargateGateway", "FargateGatewayArgs", "FargateRoute", "FargateSettings", "FargateSignOn"]
