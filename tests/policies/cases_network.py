"""Cases of the rules over networks, in AWS and in clusters."""

from __future__ import annotations

from tests.policies.cases import Case
from tests.policies.cases_aws import BALANCER, BLOCK, BUCKET, CLUSTER, ENDPOINT, INGRESS, SERVICE, VPC
from tests.policies.cases_cluster import CLUSTER_IP, DENY, GW, OPENS, SPACE
from tests.policies.making import made

CASES = [
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
