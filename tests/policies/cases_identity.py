"""Cases of rules for AWS identity and audit."""

from __future__ import annotations

from isthmus.contracts.platform.model.aws.account import InvocationLogging
from isthmus.contracts.platform.model.platform import Site
from tests.policies.cases import Case
from tests.policies.cases_aws import (
    ALARM,
    ASKS,
    BOUNDARY,
    BUCKET,
    CLUSTER,
    DEPUTY,
    FLOW,
    GROUP,
    GUARD,
    HOSTED,
    LOCK,
    LOCKED_DAYS,
    LOGGING,
    PROFILE,
    RULE,
    SEES,
    SEES_HOSTED,
    TARGET,
    TLS_ONLY,
    TRAIL,
    TRUST,
    VPC,
    allow,
    expiring,
    grant,
    policy,
    role,
    selector,
)
from tests.policies.making import platform_with, resource_of

_open = {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue"}

_SCALES = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
_SCALING_GROUP = (
    "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/eks-llm-1a2b"
)
_OPEN_GROUPS = [
    _SCALING_GROUP.replace("eks-llm-1a2b", "*"),
    _SCALING_GROUP.replace("eks-llm-1a2b", "-*"),
    _SCALING_GROUP.replace("eks-llm-1a2b", "eks-*-1a2b"),
    _SCALING_GROUP.replace("eks-llm-1a2b", "eks-llm-?a2b"),
    _SCALING_GROUP.replace("eks-llm-1a2b", "${aws:PrincipalTag/group}"),
    _SCALING_GROUP.replace("eu-central-1", "*"),
    _SCALING_GROUP.replace("123456789012", "*"),
    _SCALING_GROUP.replace("123456789012", ""),
    _SCALING_GROUP.partition(":autoScalingGroupName")[0],
]


def _aws_site(name: str, region: str) -> Site:
    fields = {"name": name, "kind": "aws", "jurisdiction": "de", "region": region, "cidrs": ["10.80.0.0/16"]}
    return Site.model_validate(fields)


CASES = [
    Case(
        "identity/can-be-read",
        [grant(allow("s3:GetObject"))],
        broken=[],
        fails=[],
        unknown=["policy"],
        missing=[],
    ),
    Case(
        "identity/no-wildcard-action",
        [grant(allow(["s3:GetObject", "ec2:Describe*"]))],
        fails=[
            {"policy": policy(allow("bedrock:*"))},
            {"policy": policy(allow("*"))},
            {"policy": policy(allow("s3:Put*"))},
            {"policy": policy({"Effect": "Allow", "NotAction": "iam:*", "Resource": "arn:aws:s3:::b/*"})},
        ],
        also=[[grant({**allow("bedrock:*", "*"), "Effect": "Deny"})]],
    ),
    Case(
        "identity/no-wildcard-resource",
        [grant(allow("s3:GetObject"), allow("ecr:GetAuthorizationToken", "*"))],
        fails=[
            {"policy": policy(allow("s3:GetObject", "*"))},
            {"policy": policy(allow("bedrock:InvokeModel", "arn:aws:bedrock:*:*:inference-profile/*"))},
            *({"policy": policy(allow(_SCALES, arn))} for arn in _OPEN_GROUPS),
            {
                "policy": policy(
                    {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "arn:aws:s3:::b/*"}
                )
            },
        ],
        also=[
            [grant(allow("logs:PutLogEvents", "arn:aws:cloudwatch:::${logs.arn}:*"))],
            [grant(allow(_SCALES, _SCALING_GROUP))],
            [grant(allow(_SCALES, _SCALING_GROUP.replace("123456789012", "${aws.accountId}")))],
            [grant(allow(_SCALES, _SCALING_GROUP.replace("eks-llm-1a2b", "eks-llm-*")))],
            [grant(allow(["ce:GetCostAndUsage", "tag:GetResources", "ssmmessages:OpenDataChannel"], "*"))],
        ],
    ),
    Case(
        "identity/roles-bounded",
        [role(TRUST, permissionsBoundary="arn:aws:iam:::${boundary.arn}"), BOUNDARY],
        fails=[{"permissionsBoundary": None}],
        missing=["permissionsBoundary"],
        unknown=["permissionsBoundary"],
        also=[[role(TRUST, permissionsBoundary="arn:aws:iam::123456789012:policy/ours")]],
    ),
    Case(
        "identity/no-wide-managed-policy",
        [
            resource_of(
                "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                "a",
                {"policyArn": "arn:aws:iam:::${boundary.arn}"},
            )
        ],
        fails=[
            {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            {"policyArn": "arn:aws:iam::aws:policy/AmazonBedrockFullAccess"},
        ],
        broken=[[role(TRUST, managedPolicyArns=["arn:aws:iam::aws:policy/job-function/PowerUserAccess"])]],
        also=[
            [
                resource_of(
                    "aws:budgets/budgetAction:BudgetAction",
                    "denies",
                    {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
                )
            ]
        ],
    ),
    Case(
        "identity/trust-named",
        [role(TRUST)],
        fails=[
            {"assumeRolePolicy": policy({**TRUST, "Principal": "*"})},
            {"assumeRolePolicy": policy({**TRUST, "Condition": {}})},
            {
                "assumeRolePolicy": policy(
                    {"Effect": "Allow", "Principal": {"Federated": "arn:aws:iam::1:oidc-provider/x"}}
                )
            },
        ],
        unknown=["assumeRolePolicy"],
        also=[[role(DEPUTY)]],
    ),
    Case(
        "identity/no-confused-deputy",
        [role(DEPUTY)],
        fails=[{"assumeRolePolicy": policy({**DEPUTY, "Condition": {}})}],
        also=[[role({**DEPUTY, "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Condition": {}})]],
    ),
    Case(
        "identity/no-users", [role(TRUST)], broken=[[resource_of("aws:iam/user:User", "ci", {"name": "ci"})]]
    ),
    Case(
        "identity/sessions-short",
        [PROFILE],
        fails=[{"durationSeconds": 43200}],
        unknown=["durationSeconds"],
        broken=[[role(TRUST, maxSessionDuration=43200)]],
    ),
    Case(
        "identity/sessions-bounded",
        [PROFILE],
        fails=[{"acceptRoleSessionName": True}],
        missing=["sessionPolicy"],
    ),
    Case(
        "identity/resource-policies-named",
        [TLS_ONLY],
        fails=[
            {"policy": policy({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"})},
            {"policy": policy({"Effect": "Allow", "NotPrincipal": {"AWS": "x"}, "Action": "s3:GetObject"})},
        ],
        unknown=["policy"],
        broken=[
            [resource_of("aws:secretsmanager/secretPolicy:SecretPolicy", "s", {"policy": policy(_open)})],
            [
                resource_of(
                    "aws:kms/key:Key",
                    "k",
                    {"policy": policy(allow("kms:*", "*", Principal={"AWS": "arn:aws:iam::1:role/x"}))},
                )
            ],
        ],
        also=[
            [
                resource_of(
                    "aws:sns/topicPolicy:TopicPolicy",
                    "t",
                    {
                        "policy": policy(
                            allow(
                                "sns:Publish",
                                "x",
                                Principal="*",
                                Condition={"ArnEquals": {"aws:SourceArn": "arn:x"}},
                            )
                        )
                    },
                )
            ]
        ],
    ),
    Case(
        "identity/cluster-access-reviewed",
        [CLUSTER],
        fails=[{"accessConfig.authenticationMode": "CONFIG_MAP"}],
        missing=["accessConfig", "accessConfig.bootstrapClusterCreatorAdminPermissions"],
        unknown=["accessConfig"],
    ),
    Case(
        "audit/trail-sees-bedrock",
        [SEES, GUARD],
        fails=[{"advancedEventSelectors": [selector("AWS::Bedrock::Model")]}],
        missing=["advancedEventSelectors"],
        unknown=["advancedEventSelectors"],
        broken=[[SEES, GUARD, HOSTED], [TRAIL, HOSTED]],
        also=[[TRAIL], [SEES_HOSTED, HOSTED]],
        one_keeps_it=True,
    ),
    Case(
        "audit/write-once",
        [LOCK, BUCKET, TRAIL],
        fails=[{"rule.defaultRetention.mode": "GOVERNANCE"}],
        missing=["rule"],
        unknown=["rule.defaultRetention.mode"],
        broken=[
            [BUCKET, TRAIL],
            [
                *(LOCK, BUCKET, TRAIL),
                resource_of(
                    "aws:s3/bucketVersioning:BucketVersioning",
                    "v",
                    {"bucket": "${bucket.id}", "versioningConfiguration": {"status": "Suspended"}},
                ),
            ],
        ],
        also=[[BUCKET]],
    ),
    Case(
        "audit/locked-long-enough",
        [LOCK, BUCKET, TRAIL],
        fails=[{"rule.defaultRetention.days": 30}],
        missing=["rule"],
        unknown=["rule.defaultRetention.days"],
        broken=[
            [LOCK, BUCKET, TRAIL, expiring(LOCKED_DAYS)],
            [LOCK, BUCKET, TRAIL, expiring(LOCKED_DAYS + 1, date="2027-01-01T00:00:00Z")],
        ],
        also=[
            [LOCK, BUCKET, TRAIL, expiring(LOCKED_DAYS + 1)],
            [LOCK, BUCKET, TRAIL, expiring(1, status="Disabled")],
        ],
    ),
    Case(
        "audit/logs-kept",
        [GROUP],
        fails=[
            {"retentionInDays": 30},
            {"retentionInDays": 0},
            {"tags": {"isthmus.dev/class": "restricted"}},
        ],
        missing=["retentionInDays"],
        unknown=["retentionInDays"],
    ),
    Case(
        "audit/calls-logged",
        [LOGGING, GUARD],
        fails=[{"region": "eu-west-1"}],
        broken=[[GUARD]],
        one_keeps_it=True,
    ),
    Case(
        "audit/calls-logged",
        [GUARD],
        fails=[{"region": "eu-west-1"}, {"region": "eu-north-1"}],
        platform=platform_with(
            sites=[_aws_site("frankfurt", "eu-central-1"), _aws_site("stockholm", "eu-north-1")],
            invocation_logging=[
                InvocationLogging(name="ours", site="frankfurt", mode="existing", retention_days=365),
                InvocationLogging(name="none", site="stockholm", mode="off", retention_days=365),
            ],
        ),
        one_keeps_it=True,
    ),
    Case(
        "audit/no-prompts-in-logs",
        [LOGGING],
        fails=[
            {"loggingConfig.textDataDeliveryEnabled": True},
            {"loggingConfig.imageDataDeliveryEnabled": True},
        ],
        missing=["loggingConfig.textDataDeliveryEnabled", "loggingConfig"],
        unknown=["loggingConfig", "loggingConfig.videoDataDeliveryEnabled"],
    ),
    Case(
        "audit/cluster-logs",
        [CLUSTER],
        fails=[{"enabledClusterLogTypes": ["api"]}],
        missing=["enabledClusterLogTypes"],
        unknown=["enabledClusterLogTypes"],
    ),
    Case("audit/names-logged", [ASKS, VPC], missing=["resourceId"], broken=[[VPC]]),
    Case("audit/flows-logged", [FLOW, VPC], fails=[{"trafficType": "REJECT"}], broken=[[VPC]]),
    Case(
        "audit/alarms-heard",
        [ALARM, RULE, TARGET],
        fails=[{"alarmActions": []}, {"actionsEnabled": False}],
        missing=["alarmActions"],
        broken=[[RULE], [resource_of(RULE.type, "off", {"name": "watch", "state": "DISABLED"}), TARGET]],
    ),
]
