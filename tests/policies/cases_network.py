"""Cases of rules for networks in AWS and in clusters."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.inputs import changed
from tests.policies.cases import Case
from tests.policies.cases_aws import (
    ALLOWS,
    BALANCER,
    BLOCK,
    BLOCKS,
    BUCKET,
    CLOSED,
    CLUSTER,
    DNS,
    ENDPOINT,
    FOLLOWS,
    INGRESS,
    NEEDED,
    OTHERS,
    SERVICE,
    VPC,
)
from tests.policies.cases_cluster import CLUSTER_IP, DENY, GW, OPENS, SPACE
from tests.policies.making import resource_of


def without(*gone: Resource) -> list[Resource]:
    """The network with its DNS firewall, without some resources."""
    return [resource for resource in DNS if resource not in gone]


def with_(old: Resource, **values: Any) -> list[Resource]:
    """The network with its DNS firewall, with one resource changed."""
    return [changed([resource], values)[0] if resource is old else resource for resource in DNS]


CASES = [
    Case(
        "network/dns-firewall",
        DNS,
        fails=[
            {"firewallFailOpen": "ENABLED"},
            {"firewallFailOpen": "USE_LOCAL_RESOURCE_SETTING"},
        ],
        missing=["firewallFailOpen"],
        unknown=["firewallFailOpen"],
        broken=[
            [VPC],
            without(FOLLOWS),
            without(CLOSED),
            without(BLOCKS),
            with_(BLOCKS, action="ALERT"),
            with_(BLOCKS, action="ALLOW"),
            with_(OTHERS, domains=["*.attacker.example."]),
            with_(NEEDED, domains=["*."]),
            with_(NEEDED, domains=["*"]),
            with_(NEEDED, domains=["*.com."]),
        ],
        also=[with_(ALLOWS, priority=300), with_(BLOCKS, blockResponse="NODATA"), without(ALLOWS)],
    ),
    Case(
        "network/nothing-public",
        [BALANCER, SERVICE],
        fails=[{"internal": False}],
        missing=["internal"],
        unknown=["internal"],
        broken=[[resource_of("aws:ec2/subnet:Subnet", "s", {"mapPublicIpOnLaunch": True})]],
    ),
    Case(
        "network/cluster-private",
        [CLUSTER],
        fails=[{"vpcConfig.endpointPublicAccess": True}, {"vpcConfig.endpointPrivateAccess": False}],
        missing=["vpcConfig.endpointPublicAccess"],
        unknown=["vpcConfig.endpointPublicAccess"],
    ),
    Case(
        "network/buckets-shut",
        [BLOCK, BUCKET],
        fails=[{"blockPublicPolicy": False}],
        missing=["restrictPublicBuckets"],
        unknown=["ignorePublicAcls"],
        broken=[[BUCKET]],
    ),
    Case(
        "network/groups-named",
        [INGRESS],
        fails=[{"cidrIpv4": "0.0.0.0/0"}, {"cidrIpv6": "::/0"}],
        broken=[
            [
                resource_of(
                    "aws:ec2/securityGroup:SecurityGroup", "g", {"ingress": [{"cidrBlocks": ["0.0.0.0/0"]}]}
                )
            ],
            [
                resource_of(
                    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
                    "d",
                    {"egress": [{"cidrBlocks": ["10.0.0.0/8"]}]},
                )
            ],
        ],
    ),
    Case(
        "network/default-group-shut",
        [resource_of("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "d", {"vpcId": "${vpc.id}"}), VPC],
        fails=[{"vpcId": "vpc-other"}],
        broken=[[VPC]],
    ),
    Case(
        "network/endpoints-answer-by-name",
        [ENDPOINT],
        fails=[{"privateDnsEnabled": False}],
        missing=["privateDnsEnabled"],
        unknown=["privateDnsEnabled"],
        also=[[resource_of(ENDPOINT.type, "s3", {"vpcEndpointType": "Gateway"})]],
    ),
    Case(
        "network/notebooks-inside",
        [
            resource_of(
                "aws:sagemaker/notebookInstance:NotebookInstance",
                "nb",
                {"directInternetAccess": "Disabled", "rootAccess": "Disabled"},
            )
        ],
        fails=[{"rootAccess": "Enabled"}],
        missing=["directInternetAccess"],
        broken=[[resource_of("aws:sagemaker/domain:Domain", "studio", {"authMode": "IAM"})]],
    ),
    Case(
        "network/default-deny",
        [DENY, SPACE, GW],
        fails=[
            {"spec.policyTypes": ["Ingress"]},
            {"spec.podSelector": {"matchLabels": {"app": "other"}}},
            {"spec.egress": [{}]},
        ],
        missing=["spec.policyTypes"],
        broken=[[SPACE], [GW]],
    ),
    Case(
        "network/policies-name-peers",
        [OPENS],
        fails=[
            {"spec.egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]},
            {"spec.egress": [{"ports": [{"port": 443}]}]},
            {"spec.egress": [{"to": [{"namespaceSelector": {}}]}]},
        ],
    ),
    Case(
        "network/services-inside",
        [CLUSTER_IP],
        fails=[{"spec.type": "LoadBalancer"}, {"spec.type": "NodePort"}, {"spec.externalIPs": ["1.2.3.4"]}],
        unknown=["spec.type"],
    ),
]
