"""What stands in an EKS cluster: node groups and addons. No machine comes of one."""

from __future__ import annotations

import uuid

from sandbox.aws.beside.ec2_shared import backend
from sandbox.aws.beside.eks import (
    HELD,
    Entry,
    arn,
    cluster,
    invalid,
    names,
    operations,
    role,
    standing,
    subnets,
    there,
    update,
)
from sandbox.aws.beside.eks_access import create_association
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Asked

_DEFAULT_SIZE = {"minSize": 1, "maxSize": 2, "desiredSize": 2}


# -- node groups


def _group(asked: Asked) -> Entry:
    return standing(asked, HELD.of(asked).groups, "nodegroupName", "node group for name")


def _sized(size: Entry) -> Entry:
    if not size["minSize"] <= size["desiredSize"] <= size["maxSize"]:
        raise invalid("desiredSize must lie between minSize and maxSize.")
    return size


def _template(asked: Asked, given: Entry) -> Entry:
    """The launch template with its id; refused where there is none, or not that version."""
    from moto.core.exceptions import ServiceException

    ec2 = backend(asked)
    try:
        found = (
            ec2.get_launch_template(given["id"])
            if given.get("id")
            else ec2.get_launch_template_by_name(given["name"])
        )
    except ServiceException:
        raise invalid(f"Launch template {given.get('id') or given.get('name')} was not found.") from None
    version = str(given.get("version") or found.default_version_number)
    if version not in {str(each.number) for each in found.versions}:
        raise invalid(f"Version {version} of launch template {found.id} was not found.")
    return {"id": found.id, "name": found.name, "version": version}


def create_nodegroup(asked: Asked) -> Entry:
    given, held = asked.params, HELD.of(asked)
    of = cluster(asked, given["clusterName"])
    key = (given["clusterName"], given["nodegroupName"])
    if key in held.groups:
        raise there(f"NodeGroup {key[1]}")
    role(asked, given["nodeRole"])
    subnets(asked, list(given["subnets"]))
    template = _template(asked, given["launchTemplate"]) if given.get("launchTemplate") else None
    if template and given.get("diskSize"):
        raise invalid("Disk size must be specified within the launch template.")
    version = given.get("version") or of["version"]
    made: Entry = {
        "nodegroupName": key[1],
        "nodegroupArn": arn(asked, "nodegroup", *key, str(uuid.uuid4())),
        "clusterName": key[0],
        "version": version,
        "releaseVersion": given.get("releaseVersion") or f"{version}.0-20261101",
        "createdAt": now(),
        "modifiedAt": now(),
        "status": "ACTIVE",
        "capacityType": given.get("capacityType") or "ON_DEMAND",
        "scalingConfig": _sized({**_DEFAULT_SIZE, **(given.get("scalingConfig") or {})}),
        "subnets": list(given["subnets"]),
        "amiType": given.get("amiType") or "AL2023_x86_64_STANDARD",
        "nodeRole": given["nodeRole"],
        "labels": dict(given.get("labels") or {}),
        "taints": list(given.get("taints") or []),
        "resources": {"autoScalingGroups": [{"name": f"eks-{key[1]}-{uuid.uuid4().hex[:8]}"}]},
        "health": {"issues": []},
        "updateConfig": dict(given.get("updateConfig") or {"maxUnavailable": 1}),
        "tags": dict(given.get("tags") or {}),
        **({"launchTemplate": template} if template else {"diskSize": given.get("diskSize") or 20}),
        **({} if template else {"instanceTypes": list(given.get("instanceTypes") or ["t3.medium"])}),
    }
    held.groups[key] = made
    return {"nodegroup": made}


def describe_nodegroup(asked: Asked) -> Entry:
    return {"nodegroup": _group(asked)}


def list_nodegroups(asked: Asked) -> Entry:
    return {"nodegroups": names(asked, HELD.of(asked).groups)}


def update_nodegroup_config(asked: Asked) -> Entry:
    given, found = asked.params, _group(asked)
    if "scalingConfig" in given:
        found["scalingConfig"] = _sized({**found["scalingConfig"], **given["scalingConfig"]})
    if "updateConfig" in given:
        found["updateConfig"] = dict(given["updateConfig"])
    labels = given.get("labels") or {}
    kept = {
        key: text for key, text in found["labels"].items() if key not in (labels.get("removeLabels") or [])
    }
    found["labels"] = {**kept, **(labels.get("addOrUpdateLabels") or {})}
    taints = given.get("taints") or {}
    added = list(taints.get("addOrUpdateTaints") or [])
    gone = {(each["key"], each["effect"]) for each in (*added, *(taints.get("removeTaints") or []))}
    found["taints"] = [each for each in found["taints"] if (each["key"], each["effect"]) not in gone] + added
    return update("ConfigUpdate")


def update_nodegroup_version(asked: Asked) -> Entry:
    given, found = asked.params, _group(asked)
    if "launchTemplate" in given:
        found["launchTemplate"] = _template(asked, given["launchTemplate"])
    for key in ("version", "releaseVersion"):
        if key in given:
            found[key] = given[key]
    return update("VersionUpdate")


def delete_nodegroup(asked: Asked) -> Entry:
    found = _group(asked)
    del HELD.of(asked).groups[asked.params["clusterName"], asked.params["nodegroupName"]]
    return {"nodegroup": {**found, "status": "DELETING"}}


# -- addons


def _addon(asked: Asked) -> Entry:
    return standing(asked, HELD.of(asked).addons, "addonName", "addon")


def _borne(asked: Asked, given: list[Entry]) -> list[str]:
    """ARNs of the associations that an addon's pods bear, made for it."""
    made = []
    for each in given:
        params = {**each, "clusterName": asked.params["clusterName"], "namespace": "kube-system"}
        asking = Asked(params, asked.region, asked.account)
        made.append(create_association(asking)["association"]["associationArn"])
    return made


def _drop(asked: Asked, arns: list[str]) -> None:
    pods = HELD.of(asked).pods
    for key in [key for key, each in pods.items() if each["associationArn"] in arns]:
        del pods[key]


def create_addon(asked: Asked) -> Entry:
    given, held = asked.params, HELD.of(asked)
    cluster(asked, given["clusterName"])
    key = (given["clusterName"], given["addonName"])
    if key in held.addons:
        raise there(f"Addon {key[1]}")
    made: Entry = {
        "addonName": key[1],
        "clusterName": key[0],
        "status": "ACTIVE",
        "addonVersion": given.get("addonVersion") or "v1.0.0-eksbuild.1",
        "health": {"issues": []},
        "addonArn": arn(asked, "addon", *key, str(uuid.uuid4())),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(given.get("tags") or {}),
        "podIdentityAssociations": _borne(asked, list(given.get("podIdentityAssociations") or [])),
    }
    for name in ("configurationValues", "serviceAccountRoleArn"):
        if given.get(name):
            made[name] = given[name]
    held.addons[key] = made
    return {"addon": made}


def describe_addon(asked: Asked) -> Entry:
    return {"addon": _addon(asked)}


def list_addons(asked: Asked) -> Entry:
    return {"addons": names(asked, HELD.of(asked).addons)}


def update_addon(asked: Asked) -> Entry:
    given, found = asked.params, _addon(asked)
    for name in ("addonVersion", "configurationValues", "serviceAccountRoleArn"):
        if name in given:
            found[name] = given[name]
    if "podIdentityAssociations" in given:
        _drop(asked, found["podIdentityAssociations"])
        found["podIdentityAssociations"] = _borne(asked, list(given["podIdentityAssociations"]))
    return update("AddonUpdate")


def delete_addon(asked: Asked) -> Entry:
    found = _addon(asked)
    _drop(asked, found["podIdentityAssociations"])
    del HELD.of(asked).addons[asked.params["clusterName"], asked.params["addonName"]]
    return {"addon": {**found, "status": "DELETING"}}


OPERATIONS = operations(
    {
        "CreateNodegroup": create_nodegroup,
        "DescribeNodegroup": describe_nodegroup,
        "ListNodegroups": list_nodegroups,
        "UpdateNodegroupConfig": update_nodegroup_config,
        "UpdateNodegroupVersion": update_nodegroup_version,
        "DeleteNodegroup": delete_nodegroup,
        "CreateAddon": create_addon,
        "DescribeAddon": describe_addon,
        "ListAddons": list_addons,
        "UpdateAddon": update_addon,
        "DeleteAddon": delete_addon,
    }
)
