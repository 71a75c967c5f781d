"""Node groups and addons of EKS clusters. No machines are started."""

from __future__ import annotations

import uuid

from sandbox.aws.beside.ec2_shared import backend
from sandbox.aws.beside.eks import (
    STATE,
    Entry,
    already_exists,
    arn,
    check_role,
    check_subnets,
    find_child,
    find_cluster,
    invalid,
    list_names,
    operations,
    update_record,
)
from sandbox.aws.beside.eks_access import create_association
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import ServiceRequest

_DEFAULT_SIZE = {"minSize": 1, "maxSize": 2, "desiredSize": 2}


# -- node groups


def _find_group(request: ServiceRequest) -> Entry:
    return find_child(request, STATE.of(request).groups, "nodegroupName", "node group for name")


def _check_size(size: Entry) -> Entry:
    if not size["minSize"] <= size["desiredSize"] <= size["maxSize"]:
        raise invalid("desiredSize must lie between minSize and maxSize.")
    return size


def _find_template(request: ServiceRequest, template_given: Entry) -> Entry:
    """Return the launch template's id, name and version. Raises `Refused` if it or the version does not exist."""
    from moto.core.exceptions import ServiceException

    ec2 = backend(request)
    try:
        template = (
            ec2.get_launch_template(template_given["id"])
            if template_given.get("id")
            else ec2.get_launch_template_by_name(template_given["name"])
        )
    except ServiceException:
        raise invalid(
            f"Launch template {template_given.get('id') or template_given.get('name')} was not found."
        ) from None
    version = str(template_given.get("version") or template.default_version_number)
    if version not in {str(version_entry.number) for version_entry in template.versions}:
        raise invalid(f"Version {version} of launch template {template.id} was not found.")
    return {"id": template.id, "name": template.name, "version": version}


def create_nodegroup(request: ServiceRequest) -> Entry:
    params, state = request.params, STATE.of(request)
    owner_cluster = find_cluster(request, params["clusterName"])
    key = (params["clusterName"], params["nodegroupName"])
    if key in state.groups:
        raise already_exists(f"NodeGroup {key[1]}")
    check_role(request, params["nodeRole"])
    check_subnets(request, list(params["subnets"]))
    template = _find_template(request, params["launchTemplate"]) if params.get("launchTemplate") else None
    if template and params.get("diskSize"):
        raise invalid("Disk size must be specified within the launch template.")
    version = params.get("version") or owner_cluster["version"]
    group: Entry = {
        "nodegroupName": key[1],
        "nodegroupArn": arn(request, "nodegroup", *key, str(uuid.uuid4())),
        "clusterName": key[0],
        "version": version,
        "releaseVersion": params.get("releaseVersion") or f"{version}.0-20261101",
        "createdAt": now(),
        "modifiedAt": now(),
        "status": "ACTIVE",
        "capacityType": params.get("capacityType") or "ON_DEMAND",
        "scalingConfig": _check_size({**_DEFAULT_SIZE, **(params.get("scalingConfig") or {})}),
        "subnets": list(params["subnets"]),
        "amiType": params.get("amiType") or "AL2023_x86_64_STANDARD",
        "nodeRole": params["nodeRole"],
        "labels": dict(params.get("labels") or {}),
        "taints": list(params.get("taints") or []),
        "resources": {"autoScalingGroups": [{"name": f"eks-{key[1]}-{uuid.uuid4().hex[:8]}"}]},
        "health": {"issues": []},
        "updateConfig": dict(params.get("updateConfig") or {"maxUnavailable": 1}),
        "tags": dict(params.get("tags") or {}),
        **({"launchTemplate": template} if template else {"diskSize": params.get("diskSize") or 20}),
        **({} if template else {"instanceTypes": list(params.get("instanceTypes") or ["t3.medium"])}),
    }
    state.groups[key] = group
    return {"nodegroup": group}


def describe_nodegroup(request: ServiceRequest) -> Entry:
    return {"nodegroup": _find_group(request)}


def list_nodegroups(request: ServiceRequest) -> Entry:
    return {"nodegroups": list_names(request, STATE.of(request).groups)}


def update_nodegroup_config(request: ServiceRequest) -> Entry:
    params, group = request.params, _find_group(request)
    if "scalingConfig" in params:
        group["scalingConfig"] = _check_size({**group["scalingConfig"], **params["scalingConfig"]})
    if "updateConfig" in params:
        group["updateConfig"] = dict(params["updateConfig"])
    labels = params.get("labels") or {}
    remaining_labels = {
        key: text for key, text in group["labels"].items() if key not in (labels.get("removeLabels") or [])
    }
    group["labels"] = {**remaining_labels, **(labels.get("addOrUpdateLabels") or {})}
    taints = params.get("taints") or {}
    new_taints = list(taints.get("addOrUpdateTaints") or [])
    replaced_taints = {
        (taint["key"], taint["effect"]) for taint in (*new_taints, *(taints.get("removeTaints") or []))
    }
    group["taints"] = [
        taint for taint in group["taints"] if (taint["key"], taint["effect"]) not in replaced_taints
    ] + new_taints
    return update_record("ConfigUpdate")


def update_nodegroup_version(request: ServiceRequest) -> Entry:
    params, group = request.params, _find_group(request)
    if "launchTemplate" in params:
        group["launchTemplate"] = _find_template(request, params["launchTemplate"])
    for key in ("version", "releaseVersion"):
        if key in params:
            group[key] = params[key]
    return update_record("VersionUpdate")


def delete_nodegroup(request: ServiceRequest) -> Entry:
    group = _find_group(request)
    del STATE.of(request).groups[request.params["clusterName"], request.params["nodegroupName"]]
    return {"nodegroup": {**group, "status": "DELETING"}}


# -- addons


def _find_addon(request: ServiceRequest) -> Entry:
    return find_child(request, STATE.of(request).addons, "addonName", "addon")


def _create_associations(request: ServiceRequest, associations: list[Entry]) -> list[str]:
    """Create the pod identity associations of an addon, and return their ARNs."""
    arns = []
    for association in associations:
        params = {**association, "clusterName": request.params["clusterName"], "namespace": "kube-system"}
        asking = ServiceRequest(params, request.region, request.account)
        arns.append(create_association(asking)["association"]["associationArn"])
    return arns


def _delete_associations(request: ServiceRequest, arns: list[str]) -> None:
    pods = STATE.of(request).pods
    for key in [key for key, pod in pods.items() if pod["associationArn"] in arns]:
        del pods[key]


def create_addon(request: ServiceRequest) -> Entry:
    params, state = request.params, STATE.of(request)
    find_cluster(request, params["clusterName"])
    key = (params["clusterName"], params["addonName"])
    if key in state.addons:
        raise already_exists(f"Addon {key[1]}")
    addon: Entry = {
        "addonName": key[1],
        "clusterName": key[0],
        "status": "ACTIVE",
        "addonVersion": params.get("addonVersion") or "v1.0.0-eksbuild.1",
        "health": {"issues": []},
        "addonArn": arn(request, "addon", *key, str(uuid.uuid4())),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(params.get("tags") or {}),
        "podIdentityAssociations": _create_associations(
            request, list(params.get("podIdentityAssociations") or [])
        ),
    }
    for name in ("configurationValues", "serviceAccountRoleArn"):
        if params.get(name):
            addon[name] = params[name]
    state.addons[key] = addon
    return {"addon": addon}


def describe_addon(request: ServiceRequest) -> Entry:
    return {"addon": _find_addon(request)}


def list_addons(request: ServiceRequest) -> Entry:
    return {"addons": list_names(request, STATE.of(request).addons)}


def update_addon(request: ServiceRequest) -> Entry:
    params, addon = request.params, _find_addon(request)
    for name in ("addonVersion", "configurationValues", "serviceAccountRoleArn"):
        if name in params:
            addon[name] = params[name]
    if "podIdentityAssociations" in params:
        _delete_associations(request, addon["podIdentityAssociations"])
        addon["podIdentityAssociations"] = _create_associations(
            request, list(params["podIdentityAssociations"])
        )
    return update_record("AddonUpdate")


def delete_addon(request: ServiceRequest) -> Entry:
    addon = _find_addon(request)
    _delete_associations(request, addon["podIdentityAssociations"])
    del STATE.of(request).addons[request.params["clusterName"], request.params["addonName"]]
    return {"addon": {**addon, "status": "DELETING"}}


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
