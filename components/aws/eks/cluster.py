"""The component EksCluster: a private cluster with its key, logs, administrators and addons."""

import re
from typing import Any, NotRequired, TypedDict

import pulumi

from components.aws.common.efs_mount import mount_statement
from components.aws.common.ip_addresses import cidr_label, ipv4_networks
from components.aws.common.keys import rotated_key
from components.aws.common.log_group import key_policy, retention_period
from components.aws.common.names import aws_name, partition
from components.aws.eks import roles as eks_roles
from isthmus.core.errors import InputError

LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
"""All logs of the control plane."""
ADMINISTERS = "cluster-access-policy/AmazonEKSClusterAdminPolicy"
EARLY_ADDONS = ("vpc-cni", "kube-proxy", "eks-pod-identity-agent")
"""Addons that run on every node and are installed before the first one. Addons that need nodes are installed with
these."""


class EksAdmin(TypedDict):
    """An administrator of a cluster."""

    name: str
    """Name of the entry."""
    principal: pulumi.Input[str]
    """ARN of an IAM role."""


class EksHybridNodes(TypedDict):
    """Nodes at a site of the organisation that join a cluster in AWS."""

    node_networks: list[str]
    """Networks of the nodes."""
    pod_networks: NotRequired[list[str]]
    """Networks of their pods."""
    role: pulumi.Input[str]
    """ARN of the nodes' role."""


class EksClusterArgs(TypedDict):
    """A private Kubernetes cluster in AWS."""

    name: str
    """Name of the cluster. In EKS it gets a suffix of digits."""
    region: str
    """AWS region."""
    version: str
    """Version of Kubernetes, e.g. 1.36."""
    subnet_ids: pulumi.Input[list[pulumi.Input[str]]]
    """Ids of private subnets in two zones at least."""
    kms_key: NotRequired[pulumi.Input[str]]
    """ARN of the key that encrypts Secrets and volumes. Absent: a key is created."""
    log_retention_days: int
    """Retention of the control plane's logs in days. CloudWatch Logs rounds it up to a period that it supports."""
    admins: list[EksAdmin]
    """The only administrators of the cluster."""
    access: NotRequired[list[str]]
    """Networks that may reach the API server, in addition to the nodes."""
    service_cidr: NotRequired[str]
    """Address range of Services (default 172.20.0.0/16)."""
    hybrid_nodes: NotRequired[EksHybridNodes]
    """Nodes at a site that join the cluster."""
    repositories: NotRequired[list[str]]
    """ARNs of registry repositories from which nodes pull, in addition to the addons'."""
    addon_account: NotRequired[str]
    """AWS's account with the addons' images (default: that of most regions)."""
    addons: NotRequired[dict[str, str]]
    """Versions of addons. Absent: AWS's default for the cluster's version."""
    mounts_shares: NotRequired[bool]
    """Whether its nodes mount shares of records, as the shares' policies allow (default false)."""
    permissions_boundary: NotRequired[pulumi.Input[str]]
    """ARN of its roles' permissions boundary. Absent: one is created for each role."""
    tags: NotRequired[dict[str, str]]
    """Tags of the created resources."""


class EksCluster(pulumi.ComponentResource):
    """A control plane that is reachable inside its network only, and the roles of its nodes and pods.

    `retained` lists what stays after a destroy: the control plane's logs and their key.
    """

    cluster_name: pulumi.Output[str]
    """Name of the cluster in EKS."""
    cluster_arn: pulumi.Output[str]
    """ARN of the cluster."""
    endpoint: pulumi.Output[str]
    """URL of its API server. Known when its administrators have access."""
    certificate_authority: pulumi.Output[str]
    """The CA of the API server's certificate, base64 of its PEM."""
    kms_key: pulumi.Output[str]
    """ARN of the key of Secrets and volumes."""
    node_role: pulumi.Output[str]
    """ARN of its nodes' role."""
    cni_role: pulumi.Output[str]
    """ARN of the role of its network plugin."""
    retained: pulumi.Output[list[str]]
    """ARNs of resources that a destroy retains."""

    def __init__(self, name: str, args: EksClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("isthmus:index:EksCluster", name, dict(args), opts)
        from pulumi_aws import get_caller_identity_output

        api_networks = _check(args)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        self._tags = {**args.get("tags", {}), "isthmus.dev/cluster": args["name"]}
        self._account = get_caller_identity_output(opts=pulumi.InvokeOutputOptions(parent=self)).account_id
        cluster_name, logs = self._create_logs()
        self.kms_key = self._key()
        cluster = self._create_cluster(cluster_name, logs, self._create_control_plane_role())
        self.cluster_name, self.cluster_arn = cluster.name, cluster.arn
        self._let_in(cluster, api_networks)
        association_ids = self._admit(cluster)
        self._create_roles(cluster)
        self._create_addons(cluster)
        # The endpoint is known only after its administrators have access.
        self.endpoint = pulumi.Output.all(cluster.endpoint, *association_ids).apply(
            lambda values: str(values[0])
        )
        self.certificate_authority = cluster.certificate_authority.apply(_data)
        self.register_outputs(
            {
                "cluster_name": self.cluster_name,
                "cluster_arn": self.cluster_arn,
                "endpoint": self.endpoint,
                "certificate_authority": self.certificate_authority,
                "kms_key": self.kms_key,
                "node_role": self.node_role,
                "cni_role": self.cni_role,
                "retained": self.retained,
            }
        )

    def _create_logs(self) -> tuple[pulumi.Output[str], pulumi.Resource]:
        """Create the log group. Returns the cluster's name and the group to which EKS will write by that name.

        The name of a retained group is taken for ever, so each new cluster needs another name. It has digits of the
        id of the logs' key, which is created with each cluster.
        """
        from pulumi_aws.cloudwatch import LogGroup

        args = self._args
        retained_opts = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        base_name = aws_name(self._name, 80)
        sealed = rotated_key(
            f"{self._name}-log-key",
            f"Control plane's logs of {self._name}",
            key_policy(args["region"], self._account, f"/aws/eks/{base_name}"),
            self._tags,
            retained_opts,
        )
        cluster_name = pulumi.Output.concat(base_name, "-", sealed.key_id.apply(_first_digits))
        group = LogGroup(
            f"{self._name}-logs",
            name=pulumi.Output.concat("/aws/eks/", cluster_name, "/cluster"),
            retention_in_days=retention_period(args["log_retention_days"], f"clusters.{args['name']}"),
            kms_key_id=sealed.arn,
            tags=self._tags,
            opts=retained_opts,
        )
        self.retained = pulumi.Output.all(group.arn, sealed.arn)
        return cluster_name, group

    def _key(self) -> pulumi.Output[str]:
        """ARN of the given key of Secrets and volumes, or of a new one."""
        if "kms_key" in self._args:
            return pulumi.Output.from_input(self._args["kms_key"])
        return rotated_key(
            f"{self._name}-key",
            f"Secrets and volumes of {self._name}",
            eks_roles.sealing_policy(self._args["region"], self._account),
            self._tags,
            self._child,
        ).arn

    def _create_control_plane_role(self) -> pulumi.Output[str]:
        region = self._args["region"]
        return eks_roles.create_bounded_role(
            self._name,
            f"Control plane of {self._name}",
            eks_roles.cluster_trust(region, self._account),
            eks_roles.cluster_statements(region, self._account),
            self._args.get("permissions_boundary"),
            self._tags,
            self._child,
        )

    def _create_cluster(
        self, cluster_name: pulumi.Output[str], logs: pulumi.Resource, role: pulumi.Output[str]
    ) -> Any:
        """Create the control plane, which answers inside its network only."""
        from pulumi_aws.eks import Cluster

        args = self._args
        vpc_config: Any = {
            "subnet_ids": args["subnet_ids"],
            "endpoint_private_access": True,
            "endpoint_public_access": False,
        }
        encryption: Any = {"provider": {"key_arn": self.kms_key}, "resources": ["secrets"]}
        # Otherwise the creator of a cluster would stay its administrator, invisible in reviews.
        access_config: Any = {
            "authentication_mode": "API",
            "bootstrap_cluster_creator_admin_permissions": False,
        }
        network_config: Any = {
            "service_ipv4_cidr": args.get("service_cidr", "172.20.0.0/16"),
            "ip_family": "ipv4",
        }
        return Cluster(
            f"{self._name}-cluster",
            name=cluster_name,
            version=args["version"],
            role_arn=role,
            vpc_config=vpc_config,
            access_config=access_config,
            # EKS' self-managed addons have no network policies, and would stay after the addons are deleted.
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=list(LOGS),
            encryption_config=encryption,
            kubernetes_network_config=network_config,
            tags=self._tags,
            # Without the group EKS would create one without encryption and with unlimited retention.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs]),
            **self._remote_networks(),
        )

    def _remote_networks(self) -> dict[str, Any]:
        """Arguments of the cluster for nodes at a site."""
        if "hybrid_nodes" not in self._args:
            return {}
        hybrid_nodes = self._args["hybrid_nodes"]
        pods = list(hybrid_nodes.get("pod_networks", []))
        return {
            "remote_network_config": {
                "remote_node_networks": {"cidrs": list(hybrid_nodes["node_networks"])},
                **({"remote_pod_networks": {"cidrs": pods}} if pods else {}),
            }
        }

    def _let_in(self, cluster: Any, networks: list[str]) -> None:
        """Let networks reach the API server, by rules of the security group that EKS created."""
        from pulumi_aws.vpc import SecurityGroupIngressRule

        for peer in networks:
            SecurityGroupIngressRule(
                f"{self._name}-api-{cidr_label(peer)}",
                security_group_id=cluster.vpc_config.apply(_security_group),
                description=f"API server of {self._name}",
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                cidr_ipv4=peer,
                tags=self._tags,
                opts=self._child,
            )

    def _admit(self, cluster: Any) -> list[Any]:
        """Give access to administrators and nodes at a site. Returns the ids of the administrators' associations."""
        from pulumi_aws.eks import AccessEntry

        associations = [self._admit_administrator(cluster, admin) for admin in self._args["admins"]]
        if "hybrid_nodes" in self._args:
            AccessEntry(
                f"{self._name}-hybrid-nodes",
                cluster_name=cluster.name,
                principal_arn=self._args["hybrid_nodes"]["role"],
                type="HYBRID_LINUX",
                tags=self._tags,
                opts=self._child,
            )
        return [association.id for association in associations]

    def _admit_administrator(self, cluster: Any, admin: EksAdmin) -> Any:
        from pulumi_aws.eks import AccessEntry, AccessPolicyAssociation

        scope: Any = {"type": "cluster"}
        entry = AccessEntry(
            f"{self._name}-admin-{admin['name']}",
            cluster_name=cluster.name,
            principal_arn=admin["principal"],
            type="STANDARD",
            tags=self._tags,
            opts=self._child,
        )
        return AccessPolicyAssociation(
            f"{self._name}-admin-{admin['name']}-policy",
            cluster_name=cluster.name,
            principal_arn=admin["principal"],
            policy_arn=f"arn:{partition(self._args['region'])}:eks::aws:{ADMINISTERS}",
            access_scope=scope,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[entry]),
        )

    def _create_roles(self, cluster: Any) -> None:
        """Create the roles of the nodes, which EKS admits itself, and of the plugin that assigns addresses to pods."""
        args, account = self._args, self._account
        region, boundary = args["region"], args.get("permissions_boundary")
        images = [
            *eks_roles.addon_repositories(region, args.get("addon_account", "602401143452")),
            *args.get("repositories", []),
        ]
        self.node_role = eks_roles.create_bounded_role(
            f"{self._name}-node",
            f"Machines of {self._name}",
            eks_roles.service_trust("ec2.amazonaws.com"),
            eks_roles.node_statements(cluster.arn, images),
            boundary,
            self._tags,
            self._child,
            boundary_only=[mount_statement(region, account)] if args.get("mounts_shares", False) else [],
        )
        self.cni_role = eks_roles.create_bounded_role(
            f"{self._name}-cni",
            f"Network plugin of {self._name}",
            eks_roles.cni_trust(cluster.name, cluster.arn, account),
            eks_roles.cni_statements(region, account),
            boundary,
            self._tags,
            self._child,
        )

    def _create_addons(self, cluster: Any) -> None:
        for addon_name in EARLY_ADDONS:
            settings: dict[str, Any] = {}
            if addon_name == "vpc-cni":
                # Without it, NetworkPolicies have no effect.
                settings["configuration_values"] = '{"enableNetworkPolicy":"true"}'
                settings["pod_identity_associations"] = [
                    {"role_arn": self.cni_role, "service_account": eks_roles.CNI_ACCOUNT}
                ]
            create_addon(
                f"{self._name}-{addon_name}",
                addon_name,
                cluster.name,
                self._args.get("addons", {}),
                self._tags,
                self,
                **settings,
            )


def _check(args: EksClusterArgs) -> list[str]:
    """The networks that reach the API server. Raises `InputError` for a cluster without administrators."""
    where = f"clusters.{args['name']}"
    if not args["admins"]:
        raise InputError(
            "the cluster has no administrators",
            where=f"{where}.admins",
            fix="Add a role to admins: the creator of a cluster does not become its administrator",
        )
    retention_period(args["log_retention_days"], f"{where}.log_retention_days")
    return [str(network) for network in ipv4_networks(args.get("access", []), f"{where}.access")]


def create_addon(
    name: str,
    addon_name: str,
    cluster: Any,
    versions: dict[str, str],
    tags: dict[str, str],
    parent: pulumi.Resource,
    dependencies: list[pulumi.Resource] | None = None,
    **extra: Any,
) -> pulumi.Resource:
    """Create an EKS addon. It overwrites conflicting settings in the cluster."""
    from pulumi_aws.eks import Addon

    return Addon(
        name,
        cluster_name=cluster,
        addon_name=addon_name,
        addon_version=versions.get(addon_name),
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        tags=tags,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=dependencies or []),
        **extra,
    )


def _first_digits(key: str) -> str:
    """Eight digits of a key's id. A placeholder of `isthmus render` is returned whole."""
    match = re.match(r"[0-9a-f]{8}(?=-)", key)
    return match[0] if match else key


def _security_group(vpc_config: Any) -> str:
    if isinstance(vpc_config, dict):
        return str(
            vpc_config.get("cluster_security_group_id") or vpc_config.get("clusterSecurityGroupId") or ""
        )
    return str(vpc_config.cluster_security_group_id or "")


def _data(authority: Any) -> str:
    return str(authority["data"] if isinstance(authority, dict) else authority.data)
