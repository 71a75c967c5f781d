"""Application Auto Scaling: scalable targets and scaling policies."""

from __future__ import annotations

from sandbox.aws.model import AutoName, Call, Facet, Tagging, Type, all_tags
from sandbox.aws.schema import Prop
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("ObjectNotFoundException",)
_WHICH = {
    "ServiceNamespace": "$serviceNamespace",
    "ResourceId": "$resourceId",
    "ScalableDimension": "$scalableDimension",
}
_NAMED = {
    "serviceNamespace": Prop(required=True, replace=True),
    "resourceId": Prop(required=True, replace=True),
    "scalableDimension": Prop(required=True, replace=True),
}
_REGISTER = {**_WHICH, "MinCapacity": "$minCapacity", "MaxCapacity": "$maxCapacity"}

TARGET = Type(
    "aws:appautoscaling/target:Target",
    service="application-autoscaling",
    id="{serviceNamespace}|{resourceId}|{scalableDimension}",
    inputs={
        **_NAMED,
        "minCapacity": Prop("number", required=True),
        "maxCapacity": Prop("number", required=True),
        "roleArn": Prop(computed=True, replace=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "tagsAll": Prop("map")},
    create=Call(
        "register_scalable_target",
        {**_REGISTER, "RoleARN": "$roleArn", "Tags": all_tags},
        result={"arn": "ScalableTargetARN"},
    ),
    reads=(
        Call(
            "describe_scalable_targets",
            {
                "ServiceNamespace": "$serviceNamespace",
                "ScalableDimension": "$scalableDimension",
                "ResourceIds": lambda scope: [scope["resourceId"]],
            },
            pick="ScalableTargets[?ResourceId=='{resourceId}'] | [0]",
            result={
                "arn": "ScalableTargetARN",
                "minCapacity": "MinCapacity",
                "maxCapacity": "MaxCapacity",
                "roleArn": "RoleARN",
            },
        ),
        Call("list_tags_for_resource", {"ResourceARN": "$arn"}, result={"tagsAll": "Tags"}),
    ),
    facets=(Facet(("minCapacity", "maxCapacity"), put=Call("register_scalable_target", _REGISTER)),),
    tagging=Tagging(
        put=Call("tag_resource", {"ResourceARN": "$arn", "Tags": "$tagsSet"}),
        remove=Call("untag_resource", {"ResourceARN": "$arn", "TagKeys": "$tagsGone"}),
    ),
    delete=Call("deregister_scalable_target", _WHICH, absent=_GONE),
    limits="Nothing is scaled, and that what is named exists is not checked. The id is our own, "
    "`service|resource|dimension`, where the real plugin's is the resource.",
)


_METRIC = Prop("object", fields={"predefinedMetricType": Prop(required=True), "resourceLabel": Prop()})
_TRACKING = Prop(
    "object",
    fields={
        "targetValue": Prop("number", required=True),
        "disableScaleIn": Prop("flag", default=False),
        "scaleInCooldown": Prop("number"),
        "scaleOutCooldown": Prop("number"),
        "predefinedMetricSpecification": _METRIC,
    },
)
_PUT = Call(
    "put_scaling_policy",
    {
        **_WHICH,
        "PolicyName": "$name",
        "PolicyType": "$policyType",
        "TargetTrackingScalingPolicyConfiguration": "$targetTrackingScalingPolicyConfiguration",
    },
    result={"arn": "PolicyARN"},
)

POLICY = Type(
    "aws:appautoscaling/policy:Policy",
    service="application-autoscaling",
    id="{serviceNamespace}|{resourceId}|{scalableDimension}|{name}",
    inputs={
        **_NAMED,
        "name": Prop(replace=True),
        "policyType": Prop(default="StepScaling"),
        "targetTrackingScalingPolicyConfiguration": _TRACKING,
        "region": REGION,
    },
    outputs={"arn": Prop()},
    create=_PUT,
    reads=(
        Call(
            "describe_scaling_policies",
            {**_WHICH, "PolicyNames": lambda scope: [scope["name"]]},
            pick="ScalingPolicies[?PolicyName=='{name}'] | [0]",
            result={
                "arn": "PolicyARN",
                "policyType": "PolicyType",
                "targetTrackingScalingPolicyConfiguration": "TargetTrackingScalingPolicyConfiguration",
            },
        ),
    ),
    facets=(Facet(("policyType", "targetTrackingScalingPolicyConfiguration"), put=_PUT),),
    delete=Call("delete_scaling_policy", {**_WHICH, "PolicyName": "$name"}, absent=_GONE),
    autoname=AutoName("name", None, longest=255),
    limits="Nothing is scaled, and AWS's own alarms for it are not made. Target tracking by a predefined metric "
    "only. The id is our own, as the target's.",
)

TYPES = (TARGET, POLICY)
