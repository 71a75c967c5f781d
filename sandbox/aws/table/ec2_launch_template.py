"""Amazon EC2 launch templates, which configure the machines of node groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.aws.model import AutoName, Call, Facet, Scope, Type, find_only_id
from sandbox.aws.schema import Prop, to_api
from sandbox.aws.table.ec2_tags import REGION, TAGGING, TAGS, arn, tag_specifications

_GONE = (
    "InvalidLaunchTemplateId.NotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateName.NotFoundException",  # as moto calls it
)


def same_text(left: Any, right: Any) -> bool:
    """Compare flags as text, since the AWS plugin writes them so."""
    return str(left).lower() == str(right).lower()


def _truth(**more: Any) -> Prop:
    return Prop(alike=same_text, **more)


_EBS = Prop(
    "object",
    fields={
        "deleteOnTermination": _truth(),
        "encrypted": _truth(),
        "iops": Prop("number", computed=True),
        "kmsKeyId": Prop(),
        "throughput": Prop("number", computed=True),
        "volumeSize": Prop("number"),
        "volumeType": Prop(computed=True),
    },
)
_DATA: dict[str, Prop] = {
    "blockDeviceMappings": Prop("list", item=Prop("object", fields={"deviceName": Prop(), "ebs": _EBS})),
    "capacityReservationSpecification": Prop(
        "object",
        fields={
            "capacityReservationPreference": Prop(computed=True),
            "capacityReservationTarget": Prop(
                "object",
                fields={"capacityReservationId": Prop(), "capacityReservationResourceGroupArn": Prop()},
            ),
        },
    ),
    "imageId": Prop(),
    "instanceMarketOptions": Prop("object", fields={"marketType": Prop()}),
    "instanceType": Prop(),
    "metadataOptions": Prop(
        "object",
        fields={
            "httpEndpoint": Prop(computed=True),
            "httpPutResponseHopLimit": Prop("number", computed=True),
            "httpTokens": Prop(computed=True),
            "instanceMetadataTags": Prop(computed=True),
        },
    ),
    "tagSpecifications": Prop(
        "list", item=Prop("object", fields={"resourceType": Prop(), "tags": Prop("tags")})
    ),
}


def _data(scope: Scope) -> dict[str, Any]:
    data = {
        f"{name[0].upper()}{name[1:]}": to_api(prop, scope.get(name))
        for name, prop in _DATA.items()
        if scope.get(name)
    }
    _convert_flags(data.get("BlockDeviceMappings"), lambda flag: same_text(flag, "true"))
    return data


def _convert_flags(mappings: list[dict[str, Any]] | None, form: Callable[[Any], Any]) -> None:
    """Convert the flags of the volumes to another form, in place."""
    for mapping in mappings or []:
        for flag in ("Encrypted", "DeleteOnTermination"):
            if flag in mapping.get("Ebs", {}):
                mapping["Ebs"][flag] = form(mapping["Ebs"][flag])


def _read(name: str) -> Callable[[Any], Any]:
    """Return a function that reads a part of the newest version, with flags as text like in the inputs."""

    def read_value(answer: Any) -> Any:
        value = answer["LaunchTemplateData"].get(f"{name[0].upper()}{name[1:]}")
        if name == "blockDeviceMappings":
            _convert_flags(value, lambda flag: str(flag).lower())
        if name == "tagSpecifications":
            # moto stores the template's own tags among the tag specifications of its instances.
            value = [
                specification
                for specification in value or []
                if specification["ResourceType"] != "launch-template"
            ]
        return value

    return read_value


def _create_version(call: Callable[..., Any], scope: Scope) -> None:
    """Create a new version and make it the default: AWS cannot change a version."""
    answer = call(
        "create_launch_template_version",
        LaunchTemplateId=scope["id"],
        LaunchTemplateData=_data(scope),
        VersionDescription=scope.get("description") or "",
    )["LaunchTemplateVersion"]
    if scope.get("updateDefaultVersion"):
        number = str(answer["VersionNumber"])
        call("modify_launch_template", LaunchTemplateId=scope["id"], DefaultVersion=number)


LAUNCH_TEMPLATE = Type(
    "aws:ec2/launchTemplate:LaunchTemplate",
    service="ec2",
    id="{id}",
    inputs={
        **_DATA,
        "description": Prop(),
        "name": Prop(replace=True),
        "namePrefix": Prop(replace=True, local=True),
        "updateDefaultVersion": Prop("flag", local=True),
        "region": REGION,
        "tags": TAGS,
    },
    outputs={
        "arn": Prop(),
        "latestVersion": Prop("number", computed=True),
        "tagsAll": Prop("tags"),
    },
    create=Call(
        "create_launch_template",
        {
            "LaunchTemplateName": "$name",
            "VersionDescription": "$description",
            "LaunchTemplateData": _data,
            "TagSpecifications": tag_specifications("launch-template"),
        },
        result={"id": "LaunchTemplate.LaunchTemplateId"},
    ),
    find_only=find_only_id(
        "describe_launch_templates", "LaunchTemplates[].LaunchTemplateId", {"launch-template-name": "name"}
    ),
    reads=(
        Call(
            "describe_launch_templates",
            {"LaunchTemplateIds": ["$id"]},
            pick="LaunchTemplates[0]",
            result={
                "name": "LaunchTemplateName",
                "latestVersion": "LatestVersionNumber",
            },
            absent=_GONE,
        ),
        # moto cannot change the tags of a template.
        Call(
            "describe_tags",
            {"Filters": [{"Name": "resource-id", "Values": ["$id"]}]},
            result={"tagsAll": "Tags[].{Key: Key, Value: Value}"},
        ),
        Call(
            "describe_launch_template_versions",
            {"LaunchTemplateId": "$id", "Versions": lambda scope: [str(scope["latestVersion"])]},
            pick="LaunchTemplateVersions[0]",
            result={"description": "VersionDescription", **{name: _read(name) for name in _DATA}},
            absent=_GONE,
        ),
    ),
    facets=(Facet((*_DATA, "description"), put=_create_version),),
    tagging=TAGGING,
    delete=Call("delete_launch_template", {"LaunchTemplateId": "$id"}, absent=_GONE),
    computed={"arn": arn("launch-template")},
    autoname=AutoName("name", "namePrefix", longest=125),
    limits="No machine comes of it: that image, key and reservation are there is not checked. Of a template's many "
    "settings those are served that Isthmus's components use.",
)

TYPES = (LAUNCH_TEMPLATE,)
