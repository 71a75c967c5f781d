"""Amazon Simple Notification Service: topics, their policies and subscriptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Tagging, Type
from sandbox.aws.schema import Prop
from sandbox.aws.table.kms import REGION, TAGS

_GONE = ("NotFound", "NotFoundException")


def _attribute(name: str, flag: bool = False) -> Callable[[Any], Any]:
    """Return an attribute of a topic or subscription as text, as the API needs it."""

    def read(answer: dict[str, Any]) -> Any:
        value = answer["Attributes"].get(name)
        return value == "true" if flag else value

    return read


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_TOPIC = {
    "displayName": "DisplayName",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "deliveryPolicy": "DeliveryPolicy",
    "fifoTopic": "FifoTopic",
    "contentBasedDeduplication": "ContentBasedDeduplication",
}
_SUBSCRIPTION = {
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "rawMessageDelivery": "RawMessageDelivery",
    "deliveryPolicy": "DeliveryPolicy",
    "redrivePolicy": "RedrivePolicy",
    "subscriptionRoleArn": "SubscriptionRoleArn",
}


def _optional_attributes(names: dict[str, str]) -> Callable[[Scope], dict[str, str]]:
    return lambda scope: {api: _text(scope[name]) for name, api in names.items() if scope.get(name)}


def _facet(operation: str, target: str, name: str, api: str) -> Facet:
    return Facet(
        (name,),
        put=Call(
            operation,
            {
                target: "$arn",
                "AttributeName": api,
                "AttributeValue": lambda scope: _text(
                    "" if scope.get(name) is None else scope[name],
                ),
            },
        ),
    )


TOPIC = Type(
    "aws:sns/topic:Topic",
    service="sns",
    id="{arn}",
    inputs={
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "displayName": Prop(),
        "kmsMasterKeyId": Prop(),
        "policy": Prop("json", computed=True),
        "deliveryPolicy": Prop("json"),
        "fifoTopic": Prop("flag", replace=True, default=False),
        "contentBasedDeduplication": Prop("flag", default=False),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={"arn": Prop(), "owner": Prop(), "tagsAll": Prop("tags")},
    create=Call(
        "create_topic", {"Name": "$name", "Attributes": _optional_attributes(_TOPIC), "Tags": "$tagsAll"}
    ),
    reads=(
        Call(
            "get_topic_attributes",
            {"TopicArn": "$arn"},
            result={
                **{
                    name: _attribute(api)
                    for name, api in _TOPIC.items()
                    if not name.startswith(("fifo", "cont"))
                },
                "fifoTopic": _attribute("FifoTopic", flag=True),
                "contentBasedDeduplication": _attribute("ContentBasedDeduplication", flag=True),
                "owner": _attribute("Owner"),
                "name": lambda answer: answer["Attributes"]["TopicArn"].rsplit(":", 1)[-1],
            },
            absent=_GONE,
        ),
        Call("list_tags_for_resource", {"ResourceArn": "$arn"}, result={"tagsAll": "Tags"}),
    ),
    facets=tuple(
        _facet("set_topic_attributes", "TopicArn", name, api)
        for name, api in _TOPIC.items()
        if name != "fifoTopic"
    ),
    tagging=Tagging(
        put=Call("tag_resource", {"ResourceArn": "$arn", "Tags": "$tagsSet"}),
        remove=Call("untag_resource", {"ResourceArn": "$arn", "TagKeys": "$tagsGone"}),
    ),
    delete=Call("delete_topic", {"TopicArn": "$arn"}, absent=_GONE),
    computed={"arn": "arn:{partition}:sns:{region}:{account}:{name}"},
    autoname=AutoName("name", "namePrefix", longest=256),
    limits="Nothing is encrypted with the key, and nobody outside the sandbox is told anything. Feedback roles, "
    "archives, signature versions and tracing are not served.",
)


def _default_policy(scope: Scope) -> str:
    """Return AWS's default policy of a topic, which allows its owner only. Removing a policy restores it."""
    actions = (
        "GetTopicAttributes",
        "SetTopicAttributes",
        "AddPermission",
        "RemovePermission",
        "DeleteTopic",
        "Subscribe",
        "ListSubscriptionsByTopic",
        "Publish",
    )
    statement = {
        "Effect": "Allow",
        "Sid": "__default_statement_ID",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in actions],
        "Resource": scope["arn"],
        "Condition": {"StringEquals": {"AWS:SourceOwner": scope["arn"].split(":")[4]}},
    }
    return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})


_PUT_POLICY = {"TopicArn": "$arn", "AttributeName": "Policy", "AttributeValue": "$policy"}

TOPIC_POLICY = Type(
    "aws:sns/topicPolicy:TopicPolicy",
    service="sns",
    id="{arn}",
    inputs={
        "arn": Prop(required=True, replace=True),
        "policy": Prop("json", required=True),
        "region": REGION,
    },
    outputs={"owner": Prop()},
    create=Call("set_topic_attributes", _PUT_POLICY),
    reads=(
        Call(
            "get_topic_attributes",
            {"TopicArn": "$arn"},
            result={"policy": _attribute("Policy"), "owner": _attribute("Owner")},
            absent=_GONE,
        ),
    ),
    facets=(Facet(("policy",), put=Call("set_topic_attributes", _PUT_POLICY)),),
    delete=Call("set_topic_attributes", {**_PUT_POLICY, "AttributeValue": _default_policy}, absent=_GONE),
    limits="Kept, not enforced. Deleting it gives the topic AWS's default policy back.",
)

SUBSCRIPTION = Type(
    "aws:sns/topicSubscription:TopicSubscription",
    service="sns",
    id="{arn}",
    inputs={
        "topic": Prop(required=True, replace=True),
        "protocol": Prop(required=True, replace=True),
        "endpoint": Prop(required=True, replace=True),
        "filterPolicy": Prop("json"),
        "filterPolicyScope": Prop(computed=True),
        "rawMessageDelivery": Prop("flag", default=False),
        "deliveryPolicy": Prop("json"),
        "redrivePolicy": Prop("json"),
        "subscriptionRoleArn": Prop(),
        "confirmationTimeoutInMinutes": Prop("number", local=True),
        "endpointAutoConfirms": Prop("flag", local=True),
        "region": REGION,
    },
    outputs={"arn": Prop(), "ownerId": Prop(), "pendingConfirmation": Prop("flag")},
    create=Call(
        "subscribe",
        {
            "TopicArn": "$topic",
            "Protocol": "$protocol",
            "Endpoint": "$endpoint",
            "Attributes": _optional_attributes(_SUBSCRIPTION),
            "ReturnSubscriptionArn": True,
        },
        result={"arn": "SubscriptionArn"},
    ),
    reads=(
        Call(
            "get_subscription_attributes",
            {"SubscriptionArn": "$arn"},
            result={
                "topic": _attribute("TopicArn"),
                "protocol": _attribute("Protocol"),
                "endpoint": _attribute("Endpoint"),
                "ownerId": _attribute("Owner"),
                "pendingConfirmation": _attribute("PendingConfirmation", flag=True),
                **{
                    name: _attribute(api)
                    for name, api in _SUBSCRIPTION.items()
                    if name != "rawMessageDelivery"
                },
                "rawMessageDelivery": _attribute("RawMessageDelivery", flag=True),
            },
            absent=_GONE,
        ),
    ),
    facets=tuple(
        _facet("set_subscription_attributes", "SubscriptionArn", name, api)
        for name, api in _SUBSCRIPTION.items()
    ),
    delete=Call("unsubscribe", {"SubscriptionArn": "$arn"}, absent=_GONE),
    allows_duplicates=False,
    limits="A subscription counts as confirmed at once and nothing is sent. In AWS one by e-mail waits until "
    "its reader confirms it, tells nobody anything before, and cannot be deleted by us while it waits.",
)

TYPES = (TOPIC, TOPIC_POLICY, SUBSCRIPTION)
