"""Cases of the rules over networks, in AWS and in clusters."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.policies.cases import Case, changed
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
from tests.policies.making import made


def without(*gone: Resource) -> list[Resource]:
    """The network with its DNS firewall, less some parts."""
    return [each for each in DNS if each not in gone]


def with_(old: Resource, **values: Any) -> list[Resource]:
    """The network with its DNS firewall, one part changed."""
    return [changed([each], values)[0] if each is old else each for each in DNS]


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
        broken=[[made("aws:ec2/subnet:Subnet", "s", {"mapPublicIpOnLaunch": True})]],
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
            [made("aws:ec2/securityGroup:SecurityGroup", "g", {"ingress": [{"cidrBlocks": ["0.0.0.0/0"]}]})],
            [
                made(
                    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
                    "d",
                    {"egress": [{"cidrBlocks": ["10.0.0.0/8"]}]},
                )
            ],
        ],
    ),
    Case(
        "network/default-group-shut",
        [made("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "d", {"vpcId": "${vpc.id}"}), VPC],
        fails=[{"vpcId": "vpc-other"}],
        broken=[[VPC]],
    ),
    Case(
        "network/endpoints-answer-by-name",
        [ENDPOINT],
        fails=[{"privateDnsEnabled": False}],
        missing=["privateDnsEnabled"],
        unknown=["privateDnsEnabled"],
        also=[[made(ENDPOINT.type, "s3", {"vpcEndpointType": "Gateway"})]],
    ),
    Case(
        "network/notebooks-inside",
        [
            made(
                "aws:sagemaker/notebookInstance:NotebookInstance",
                "nb",
                {"directInternetAccess": "Disabled", "rootAccess": "Disabled"},
            )
        ],
        fails=[{"rootAccess": "Enabled"}],
        missing=["directInternetAccess"],
        broken=[[made("aws:sagemaker/domain:Domain", "studio", {"authMode": "IAM"})]],
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
