"""Cases of rules for AWS (encryption, network, reliability), and resources that other cases start from."""

from __future__ import annotations

import json
from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.policies.cases import Case
from tests.policies.making import resource_of

KEY = "arn:aws:kms:::${key.arn}"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: Any, resource: Any = "arn:aws:s3:::records/*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def grant(*statements: dict[str, Any]) -> Any:
    return resource_of("aws:iam/rolePolicy:RolePolicy", "grant", {"role": "r", "policy": policy(*statements)})


TLS = {
    **{"Effect": "Deny", "Principal": "*", "Action": "s3:*"},
    "Resource": ["arn:aws:s3:::${bucket.arn}", "arn:aws:s3:::${bucket.arn}/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
BUCKET = resource_of("aws:s3/bucket:Bucket", "bucket", {"forceDestroy": False})
SEAL = resource_of(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "seal",
    {
        "bucket": "${bucket.id}",
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}}],
    },
)
TLS_ONLY = resource_of(
    "aws:s3/bucketPolicy:BucketPolicy", "tls", {"bucket": "${bucket.id}", "policy": policy(TLS)}
)
TRAIL = resource_of("aws:cloudtrail/trail:Trail", "trail", {"s3BucketName": "${bucket.id}", "kmsKeyId": KEY})
LOCK = resource_of(
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
    "lock",
    {"bucket": "${bucket.id}", "rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 366}}},
)
LOCKED_DAYS = 366


def expiring(days: int, status: str = "Enabled", **more: Any) -> Resource:
    """Lifecycle rules of the trail's bucket that expire records after so many days."""
    rule = {"id": "expire", "status": status, "filter": {"prefix": ""}, "expiration": {"days": days, **more}}
    inputs = {"bucket": "${bucket.id}", "rules": [rule]}
    return resource_of("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "expiry", inputs)


LINK: dict[str, Any] = {
    f"tunnel{number}{key}": value
    for number in (1, 2)
    for key, value in {
        "IkeVersions": ["ikev2"],
        "DpdTimeoutAction": "restart",
        **{f"Phase{phase}EncryptionAlgorithms": ["AES256-GCM-16"] for phase in (1, 2)},
        **{f"Phase{phase}DhGroupNumbers": [20, 21] for phase in (1, 2)},
    }.items()
}
VPN = resource_of(
    "aws:ec2/vpnConnection:VpnConnection",
    "vpn",
    {**LINK, "presharedKeyStorage": "SecretsManager", "staticRoutesOnly": False},
)
DISK = {"deviceName": "/dev/xvda", "ebs": {"encrypted": "true", "kmsKeyId": KEY}}
TEMPLATE = resource_of(
    "aws:ec2/launchTemplate:LaunchTemplate",
    "machines",
    {
        "blockDeviceMappings": [DISK],
        "metadataOptions": {"httpTokens": "required", "httpPutResponseHopLimit": 1},
    },
)
CLUSTER = resource_of(
    "aws:eks/cluster:Cluster",
    "eks",
    {
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": False},
        "enabledClusterLogTypes": ["api", "audit", "authenticator"],
        "encryptionConfig": {"provider": {"keyArn": KEY}, "resources": ["secrets"]},
        "vpcConfig": {
            **{"endpointPrivateAccess": True, "endpointPublicAccess": False},
            "subnetIds": ["${a.id}", "${b.id}"],
        },
    },
)
CONFIG = resource_of(
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
    "config",
    {
        "kmsKeyArn": KEY,
        "productionVariants": [
            {"variantName": "primary", "instanceType": "ml.c5.xlarge", "initialInstanceCount": 2}
        ],
        "dataCaptureConfig": {"enableCapture": True, "kmsKeyId": KEY},
    },
)
NVME = resource_of(CONFIG.type, "nvme", {"productionVariants": [{"instanceType": "ml.g6e.2xlarge"}]})
TRUST = {
    **{
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "rolesanywhere.amazonaws.com"},
    },
    "Condition": {
        "ArnEquals": {"aws:SourceArn": ["arn:aws:rolesanywhere:::${anchor.arn}"]},
        "StringEquals": {"aws:PrincipalTag/x509Subject/CN": "translator"},
    },
}
DEPUTY = {
    **{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "cloudtrail.amazonaws.com"}},
    "Condition": {"StringEquals": {"aws:SourceArn": "arn:aws:cloudtrail:eu-central-1:123456789012:trail/t"}},
}


def role(*statements: dict[str, Any], **more: Any) -> Any:
    return resource_of("aws:iam/role:Role", "role", {"assumeRolePolicy": policy(*statements), **more})


BOUNDARY = resource_of(
    "aws:iam/policy:Policy", "boundary", {"policy": policy(allow("bedrock:InvokeModel", "*"))}
)
PROFILE = resource_of(
    "aws:rolesanywhere/profile:Profile",
    "profile",
    {"durationSeconds": 3600, "acceptRoleSessionName": False, "sessionPolicy": policy(allow("s3:GetObject"))},
)
GROUP = resource_of("aws:cloudwatch/logGroup:LogGroup", "logs", {"kmsKeyId": KEY, "retentionInDays": 400})
LOGGING = resource_of(
    "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration",
    "logging",
    {
        "region": "eu-central-1",
        "loggingConfig": {
            f"{kind}DataDeliveryEnabled": False for kind in ("text", "image", "embedding", "video")
        },
    },
)
GUARD = resource_of("aws:bedrock/guardrail:Guardrail", "guard", {"region": "eu-central-1"})


def selector(*kinds: str) -> dict[str, Any]:
    fields = [
        {"field": "eventCategory", "equals": ["Data"]},
        {"field": "resources.type", "equals": list(kinds)},
    ]
    return {"fieldSelectors": fields}


SEES = resource_of(
    "aws:cloudtrail/trail:Trail",
    "trail",
    {"advancedEventSelectors": [selector("AWS::Bedrock::Guardrail"), selector("AWS::Bedrock::Model")]},
)
HOSTED = resource_of("aws:sagemaker/endpoint:Endpoint", "hosted", {"name": "hosted"})
SEES_HOSTED = resource_of(
    "aws:cloudtrail/trail:Trail",
    "trail",
    {"advancedEventSelectors": [selector("AWS::SageMaker::Endpoint")]},
)
VPC = resource_of("aws:ec2/vpc:Vpc", "vpc", {"cidrBlock": "10.0.0.0/16"})
FLOW = resource_of("aws:ec2/flowLog:FlowLog", "flow", {"vpcId": "${vpc.id}", "trafficType": "ALL"})
RULE_GROUP = resource_of(
    "aws:route53/resolverFirewallRuleGroup:ResolverFirewallRuleGroup", "dns", {"name": "dns"}
)
NEEDED = resource_of(
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList",
    "needed",
    {"domains": ["*.eu-central-1.vpce.amazonaws.com.", "s3.eu-central-1.amazonaws.com."]},
)
OTHERS = resource_of(
    "aws:route53/resolverFirewallDomainList:ResolverFirewallDomainList", "others", {"domains": ["*."]}
)


def names_rule(name: str, action: str, priority: int, group: str = "dns") -> Resource:
    inputs = {
        "action": action,
        "priority": priority,
        "firewallRuleGroupId": f"${{{group}.id}}",
        "firewallDomainListId": f"${{{name}.id}}",
    }
    return resource_of("aws:route53/resolverFirewallRule:ResolverFirewallRule", f"{name}-rule", inputs)


BLOCKS, ALLOWS = names_rule("others", "BLOCK", 200), names_rule("needed", "ALLOW", 100)
FOLLOWS = resource_of(
    "aws:route53/resolverFirewallRuleGroupAssociation:ResolverFirewallRuleGroupAssociation",
    "follows",
    {"vpcId": "${vpc.id}", "firewallRuleGroupId": "${dns.id}", "priority": 101},
)
CLOSED = resource_of(
    "aws:route53/resolverFirewallConfig:ResolverFirewallConfig",
    "closed",
    {"resourceId": "${vpc.id}", "firewallFailOpen": "DISABLED"},
)
ASKS = resource_of(
    "aws:route53/resolverQueryLogConfigAssociation:ResolverQueryLogConfigAssociation",
    "asks",
    {"resourceId": "${vpc.id}", "resolverQueryLogConfigId": "${queries.id}"},
)
DNS = [CLOSED, BLOCKS, ALLOWS, RULE_GROUP, NEEDED, OTHERS, FOLLOWS, VPC]
ALARM = resource_of(
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "alarm",
    {"alarmActions": ["arn:aws:sns:::${topic.arn}"], "tags": {"isthmus.dev/audit": "frankfurt"}},
)
RULE = resource_of("aws:cloudwatch/eventRule:EventRule", "rule", {"name": "watch", "state": "ENABLED"})
TARGET = resource_of("aws:cloudwatch/eventTarget:EventTarget", "target", {"rule": "watch", "arn": "x"})
BLOCK = resource_of(
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "block",
    {
        "bucket": "${bucket.id}",
        **dict.fromkeys(
            ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
        ),
    },
)
INGRESS = resource_of(
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
    "in",
    {"cidrIpv4": "10.40.0.0/16", "fromPort": 443},
)
ENDPOINT = resource_of(
    "aws:ec2/vpcEndpoint:VpcEndpoint",
    "endpoint",
    {"vpcEndpointType": "Interface", "privateDnsEnabled": True, "subnetIds": ["${a.id}", "${b.id}"]},
)
BALANCER = resource_of(
    "aws:lb/loadBalancer:LoadBalancer", "door", {"internal": True, "subnets": ["${a.id}", "${b.id}"]}
)
LISTENER = resource_of(
    "aws:lb/listener:Listener",
    "listener",
    {"protocol": "TLS", "sslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06"},
)
SERVICE = resource_of(
    "aws:ecs/service:Service",
    "service",
    {
        "desiredCount": 2,
        "enableExecuteCommand": False,
        "networkConfiguration": {"assignPublicIp": False, "subnets": ["${a.id}", "${b.id}"]},
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        "deploymentMinimumHealthyPercent": 100,
    },
)
_key = resource_of("aws:kms/key:Key", "key", {"enableKeyRotation": True, "isEnabled": True})
_rds = resource_of(
    "aws:rds/cluster:Cluster", "db", {"storageEncrypted": True, "kmsKeyId": KEY, "deletionProtection": True}
)
_topic = resource_of("aws:sns/topic:Topic", "topic", {"kmsMasterKeyId": KEY})
_signs = resource_of("aws:kms/key:Key", "signs", {"keyUsage": "SIGN_VERIFY"})
_https = resource_of(
    "aws:lb/listener:Listener",
    "http",
    {"protocol": "HTTP", "defaultActions": [{"redirect": {"protocol": "HTTPS"}}]},
)

CASES = [
    Case(
        "encryption/keys-rotate",
        [_key],
        fails=[{"enableKeyRotation": False}, {"rotationPeriodInDays": 1000}],
        missing=["enableKeyRotation"],
        unknown=["enableKeyRotation", "rotationPeriodInDays"],
        also=[[_signs]],
    ),
    Case(
        "encryption/keys-stay",
        [_key],
        fails=[{"isEnabled": False}, {"bypassPolicyLockoutSafetyCheck": True}],
        unknown=["isEnabled"],
    ),
    Case(
        "encryption/buckets-our-key",
        [SEAL, BUCKET],
        fails=[
            {"rules.0.applyServerSideEncryptionByDefault.sseAlgorithm": "AES256"},
            {"rules.0.applyServerSideEncryptionByDefault.kmsMasterKeyId": "alias/aws/s3"},
        ],
        missing=["rules.0.applyServerSideEncryptionByDefault.kmsMasterKeyId", "bucket"],
        unknown=["rules.0.applyServerSideEncryptionByDefault.sseAlgorithm"],
        broken=[[BUCKET]],
    ),
    Case("encryption/logs-our-key", [GROUP], fails=[{"kmsKeyId": ""}], missing=["kmsKeyId"]),
    Case(
        "encryption/topics-our-key",
        [_topic],
        fails=[{"kmsMasterKeyId": "alias/aws/sns"}],
        missing=["kmsMasterKeyId"],
    ),
    Case("encryption/trail-our-key", [TRAIL, BUCKET], fails=[{"kmsKeyId": None}], missing=["kmsKeyId"]),
    Case(
        "encryption/stores-our-key",
        [_rds],
        fails=[{"storageEncrypted": False}, {"kmsKeyId": "alias/aws/rds"}],
        missing=["storageEncrypted", "kmsKeyId"],
        unknown=["storageEncrypted"],
    ),
    Case(
        "encryption/disks-our-key",
        [TEMPLATE],
        fails=[{"blockDeviceMappings.0.ebs.encrypted": "false"}],
        missing=["blockDeviceMappings", "blockDeviceMappings.0.ebs.kmsKeyId"],
        unknown=["blockDeviceMappings", "blockDeviceMappings.0.ebs.encrypted"],
        broken=[[resource_of("aws:eks/nodeGroup:NodeGroup", "nodes", {"instanceTypes": ["g6.xlarge"]})]],
    ),
    Case(
        "encryption/cluster-secrets",
        [CLUSTER],
        fails=[{"encryptionConfig.resources": []}],
        missing=["encryptionConfig", "encryptionConfig.provider"],
        unknown=["encryptionConfig"],
    ),
    Case(
        "encryption/endpoint-disks",
        [CONFIG],
        fails=[{"kmsKeyArn": None}],
        missing=["kmsKeyArn"],
        also=[[NVME]],
    ),
    Case(
        "encryption/buckets-tls-only",
        [TLS_ONLY, BUCKET],
        fails=[
            {"policy": policy({**TLS, "Action": "s3:GetObject"})},
            {"policy": policy({**TLS, "Effect": "Allow"})},
        ],
        missing=["policy"],
        unknown=["policy"],
        broken=[[BUCKET]],
    ),
    Case(
        "encryption/listeners-tls",
        [LISTENER],
        fails=[{"protocol": "HTTP"}, {"sslPolicy": "ELBSecurityPolicy-2016-08"}],
        unknown=["protocol"],
        broken=[
            [resource_of("kubernetes:networking.k8s.io/v1:Ingress", "web", {"spec": {"rules": []}})],
            [
                resource_of(
                    "kubernetes:gateway.networking.k8s.io/v1:Gateway",
                    "gw",
                    {"spec": {"listeners": [{"protocol": "HTTP"}]}},
                )
            ],
        ],
        also=[[_https]],
    ),
    Case(
        "encryption/tunnels-strong",
        [VPN],
        fails=[
            {"tunnel2IkeVersions": ["ikev1", "ikev2"]},
            {"tunnel1Phase2EncryptionAlgorithms": ["AES128"]},
            {"tunnel1Phase1DhGroupNumbers": [2, 20]},
        ],
        missing=["tunnel1Phase1EncryptionAlgorithms", "tunnel2Phase2DhGroupNumbers", "tunnel1IkeVersions"],
        unknown=["tunnel1Phase1EncryptionAlgorithms"],
    ),
    Case(
        "encryption/tunnel-keys-kept",
        [VPN],
        fails=[{"presharedKeyStorage": "Standard"}, {"tunnel1PresharedKey": "x"}],
        missing=["presharedKeyStorage"],
    ),
    Case(
        "reliability/two-zones",
        [BALANCER, SERVICE, CLUSTER, ENDPOINT],
        fails=[{"subnets": ["${a.id}"]}],
        unknown=["subnets"],
    ),
    Case(
        "reliability/state-stays",
        [BUCKET, _rds],
        fails=[{"forceDestroy": True}],
        broken=[
            [
                resource_of(
                    "aws:rds/cluster:Cluster", "db", {"skipFinalSnapshot": True, "deletionProtection": True}
                )
            ]
        ],
    ),
    Case(
        "reliability/links-heal",
        [VPN],
        fails=[{"staticRoutesOnly": True}, {"tunnel2DpdTimeoutAction": "none"}],
    ),
    Case(
        "reliability/releases-roll",
        [SERVICE],
        fails=[{"deploymentCircuitBreaker.rollback": False}, {"deploymentMinimumHealthyPercent": 0}],
        missing=["deploymentCircuitBreaker"],
    ),
    Case(
        "reliability/replicas",
        [CONFIG, SERVICE],
        fails=[{"productionVariants.0.initialInstanceCount": 1}],
        unknown=["productionVariants.0.initialInstanceCount"],
        broken=[
            [resource_of(SERVICE.type, "one", {"desiredCount": 1})],
            [resource_of(SERVICE.type, "unsaid", {})],
        ],
    ),
    Case(
        "workload/metadata-guarded",
        [TEMPLATE],
        fails=[{"metadataOptions.httpTokens": "optional"}, {"metadataOptions.httpPutResponseHopLimit": 2}],
        missing=["metadataOptions", "metadataOptions.httpPutResponseHopLimit"],
        unknown=["metadataOptions", "metadataOptions.httpTokens"],
    ),
    Case(
        "workload/nobody-steps-in",
        [SERVICE],
        fails=[{"enableExecuteCommand": True}],
    ),
]
