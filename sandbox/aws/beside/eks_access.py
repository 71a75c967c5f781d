"""Access to EKS clusters: access entries, their policies, and pod identity associations."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox.aws.beside.eks import (
    STATE,
    Entry,
    already_exists,
    arn,
    check_role,
    find_child,
    find_cluster,
    list_names,
    not_found,
    operations,
)
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Refused, ServiceRequest


def _find_entry(request: ServiceRequest) -> Entry:
    return find_child(request, STATE.of(request).entries, "principalArn", "access entry for principal")


def create_access_entry(request: ServiceRequest) -> Entry:
    params, state = request.params, STATE.of(request)
    owner_cluster = find_cluster(request, params["clusterName"])
    if owner_cluster["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise Refused("InvalidRequestException", 400, "The cluster's authentication mode must be API.")
    key = (params["clusterName"], params["principalArn"])
    if key in state.entries:
        raise already_exists(f"Access entry {key[1]}")
    kind = params.get("type") or "STANDARD"
    name = key[1].rsplit("/", 1)[-1]
    access_entry: Entry = {
        "clusterName": key[0],
        "principalArn": key[1],
        "kubernetesGroups": list(
            params.get("kubernetesGroups") or ([] if kind == "STANDARD" else ["system:nodes"])
        ),
        "accessEntryArn": arn(
            request, "access-entry", key[0], "role", request.account, name, str(uuid.uuid4())
        ),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(params.get("tags") or {}),
        "username": params.get("username") or f"{key[1]}/{{{{SessionName}}}}",
        "type": kind,
    }
    state.entries[key] = access_entry
    return {"accessEntry": access_entry}


def describe_access_entry(request: ServiceRequest) -> Entry:
    return {"accessEntry": _find_entry(request)}


def list_access_entries(request: ServiceRequest) -> Entry:
    return {"accessEntries": list_names(request, STATE.of(request).entries)}


def update_access_entry(request: ServiceRequest) -> Entry:
    access_entry = _find_entry(request)
    for name in ("kubernetesGroups", "username"):
        if name in request.params:
            access_entry[name] = request.params[name]
    return {"accessEntry": access_entry}


def delete_access_entry(request: ServiceRequest) -> Entry:
    _find_entry(request)
    state, key = STATE.of(request), (request.params["clusterName"], request.params["principalArn"])
    del state.entries[key]
    for policy_key in [candidate for candidate in state.policies if candidate[:2] == key]:
        del state.policies[policy_key]
    return {}


def associate_policy(request: ServiceRequest) -> Entry:
    entry, params = _find_entry(request), request.params
    if entry["type"] != "STANDARD":
        raise Refused("InvalidRequestException", 400, f"An entry of type {entry['type']} takes no policy.")
    key = (params["clusterName"], params["principalArn"], params["policyArn"])
    policy: Entry = {
        "policyArn": key[2],
        "accessScope": dict(params["accessScope"]),
        "associatedAt": now(),
        "modifiedAt": now(),
    }
    STATE.of(request).policies[key] = policy
    return {"clusterName": key[0], "principalArn": key[1], "associatedAccessPolicy": policy}


def list_policies(request: ServiceRequest) -> Entry:
    _find_entry(request)
    key = (request.params["clusterName"], request.params["principalArn"])
    policies = [
        policy for policy_key, policy in sorted(STATE.of(request).policies.items()) if policy_key[:2] == key
    ]
    return {"clusterName": key[0], "principalArn": key[1], "associatedAccessPolicies": policies}


def disassociate_policy(request: ServiceRequest) -> Entry:
    _find_entry(request)
    key = (request.params["clusterName"], request.params["principalArn"], request.params["policyArn"])
    if STATE.of(request).policies.pop(key, None) is None:
        raise not_found(f"associated access policy: {key[2]}")
    return {}


# -- pod identity associations


def _find_association(request: ServiceRequest) -> Entry:
    return find_child(request, STATE.of(request).pods, "associationId", "association for id")


def create_association(request: ServiceRequest) -> Entry:
    params, state = request.params, STATE.of(request)
    find_cluster(request, params["clusterName"])
    pod_key = (params["clusterName"], params["namespace"], params["serviceAccount"])
    for pod in state.pods.values():
        if (pod["clusterName"], pod["namespace"], pod["serviceAccount"]) == pod_key:
            raise already_exists(f"Association of {pod_key[1]}/{pod_key[2]}")
    check_role(request, params["roleArn"])
    id = f"a-{uuid.uuid4().hex[:17]}"
    association: Entry = {
        "clusterName": pod_key[0],
        "namespace": pod_key[1],
        "serviceAccount": pod_key[2],
        "roleArn": params["roleArn"],
        "associationArn": arn(request, "podidentityassociation", pod_key[0], id),
        "associationId": id,
        "tags": dict(params.get("tags") or {}),
        "createdAt": now(),
        "modifiedAt": now(),
        "disableSessionTags": params.get("disableSessionTags", False),
    }
    state.pods[pod_key[0], id] = association
    return {"association": association}


def describe_association(request: ServiceRequest) -> Entry:
    return {"association": _find_association(request)}


def list_associations(request: ServiceRequest) -> Entry:
    params = request.params
    find_cluster(request, params["clusterName"])
    shown = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")

    def is_selected(association: Entry) -> bool:
        return all(
            association[key] == params[key]
            for key in ("clusterName", "namespace", "serviceAccount")
            if params.get(key)
        )

    selected = [association for association in STATE.of(request).pods.values() if is_selected(association)]
    return {"associations": [{key: association[key] for key in shown} for association in selected]}


def update_association(request: ServiceRequest) -> Entry:
    association: dict[str, Any] = _find_association(request)
    if "roleArn" in request.params:
        check_role(request, request.params["roleArn"])
    for name in ("roleArn", "disableSessionTags"):
        if name in request.params:
            association[name] = request.params[name]
    return {"association": association}


def delete_association(request: ServiceRequest) -> Entry:
    association = _find_association(request)
    del STATE.of(request).pods[request.params["clusterName"], request.params["associationId"]]
    return {"association": association}


OPERATIONS = operations(
    {
        "CreateAccessEntry": create_access_entry,
        "DescribeAccessEntry": describe_access_entry,
        "ListAccessEntries": list_access_entries,
        "UpdateAccessEntry": update_access_entry,
        "DeleteAccessEntry": delete_access_entry,
        "AssociateAccessPolicy": associate_policy,
        "ListAssociatedAccessPolicies": list_policies,
        "DisassociateAccessPolicy": disassociate_policy,
        "CreatePodIdentityAssociation": create_association,
        "DescribePodIdentityAssociation": describe_association,
        "ListPodIdentityAssociations": list_associations,
        "UpdatePodIdentityAssociation": update_association,
        "DeletePodIdentityAssociation": delete_association,
    }
)
