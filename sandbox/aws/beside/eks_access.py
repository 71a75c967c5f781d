"""Who is let into an EKS cluster, and what its pods become: access entries, their policies, and pod identities."""

from __future__ import annotations

import uuid
from typing import Any

from sandbox.aws.beside.eks import (
    HELD,
    Entry,
    arn,
    cluster,
    missing,
    names,
    operations,
    role,
    standing,
    there,
)
from sandbox.aws.beside.naming import now
from sandbox.aws.service_frame import Asked, Refused


def _entry(asked: Asked) -> Entry:
    return standing(asked, HELD.of(asked).entries, "principalArn", "access entry for principal")


def create_access_entry(asked: Asked) -> Entry:
    given, held = asked.params, HELD.of(asked)
    of = cluster(asked, given["clusterName"])
    if of["accessConfig"]["authenticationMode"] == "CONFIG_MAP":
        raise Refused("InvalidRequestException", 400, "The cluster's authentication mode must be API.")
    key = (given["clusterName"], given["principalArn"])
    if key in held.entries:
        raise there(f"Access entry {key[1]}")
    kind = given.get("type") or "STANDARD"
    name = key[1].rsplit("/", 1)[-1]
    made: Entry = {
        "clusterName": key[0],
        "principalArn": key[1],
        "kubernetesGroups": list(
            given.get("kubernetesGroups") or ([] if kind == "STANDARD" else ["system:nodes"])
        ),
        "accessEntryArn": arn(asked, "access-entry", key[0], "role", asked.account, name, str(uuid.uuid4())),
        "createdAt": now(),
        "modifiedAt": now(),
        "tags": dict(given.get("tags") or {}),
        "username": given.get("username") or f"{key[1]}/{{{{SessionName}}}}",
        "type": kind,
    }
    held.entries[key] = made
    return {"accessEntry": made}


def describe_access_entry(asked: Asked) -> Entry:
    return {"accessEntry": _entry(asked)}


def list_access_entries(asked: Asked) -> Entry:
    return {"accessEntries": names(asked, HELD.of(asked).entries)}


def update_access_entry(asked: Asked) -> Entry:
    found = _entry(asked)
    for name in ("kubernetesGroups", "username"):
        if name in asked.params:
            found[name] = asked.params[name]
    return {"accessEntry": found}


def delete_access_entry(asked: Asked) -> Entry:
    _entry(asked)
    held, key = HELD.of(asked), (asked.params["clusterName"], asked.params["principalArn"])
    del held.entries[key]
    for each in [one for one in held.policies if one[:2] == key]:
        del held.policies[each]
    return {}


def associate_policy(asked: Asked) -> Entry:
    entry, given = _entry(asked), asked.params
    if entry["type"] != "STANDARD":
        raise Refused("InvalidRequestException", 400, f"An entry of type {entry['type']} takes no policy.")
    key = (given["clusterName"], given["principalArn"], given["policyArn"])
    made: Entry = {
        "policyArn": key[2],
        "accessScope": dict(given["accessScope"]),
        "associatedAt": now(),
        "modifiedAt": now(),
    }
    HELD.of(asked).policies[key] = made
    return {"clusterName": key[0], "principalArn": key[1], "associatedAccessPolicy": made}


def list_policies(asked: Asked) -> Entry:
    _entry(asked)
    key = (asked.params["clusterName"], asked.params["principalArn"])
    mine = [made for each, made in sorted(HELD.of(asked).policies.items()) if each[:2] == key]
    return {"clusterName": key[0], "principalArn": key[1], "associatedAccessPolicies": mine}


def disassociate_policy(asked: Asked) -> Entry:
    _entry(asked)
    key = (asked.params["clusterName"], asked.params["principalArn"], asked.params["policyArn"])
    if HELD.of(asked).policies.pop(key, None) is None:
        raise missing(f"associated access policy: {key[2]}")
    return {}


# -- what pods become


def _association(asked: Asked) -> Entry:
    return standing(asked, HELD.of(asked).pods, "associationId", "association for id")


def create_association(asked: Asked) -> Entry:
    given, held = asked.params, HELD.of(asked)
    cluster(asked, given["clusterName"])
    whose = (given["clusterName"], given["namespace"], given["serviceAccount"])
    for each in held.pods.values():
        if (each["clusterName"], each["namespace"], each["serviceAccount"]) == whose:
            raise there(f"Association of {whose[1]}/{whose[2]}")
    role(asked, given["roleArn"])
    id = f"a-{uuid.uuid4().hex[:17]}"
    made: Entry = {
        "clusterName": whose[0],
        "namespace": whose[1],
        "serviceAccount": whose[2],
        "roleArn": given["roleArn"],
        "associationArn": arn(asked, "podidentityassociation", whose[0], id),
        "associationId": id,
        "tags": dict(given.get("tags") or {}),
        "createdAt": now(),
        "modifiedAt": now(),
        "disableSessionTags": given.get("disableSessionTags", False),
    }
    held.pods[whose[0], id] = made
    return {"association": made}


def describe_association(asked: Asked) -> Entry:
    return {"association": _association(asked)}


def list_associations(asked: Asked) -> Entry:
    given = asked.params
    cluster(asked, given["clusterName"])
    shown = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")

    def wanted(each: Entry) -> bool:
        return all(
            each[key] == given[key]
            for key in ("clusterName", "namespace", "serviceAccount")
            if given.get(key)
        )

    mine = [each for each in HELD.of(asked).pods.values() if wanted(each)]
    return {"associations": [{key: each[key] for key in shown} for each in mine]}


def update_association(asked: Asked) -> Entry:
    found: dict[str, Any] = _association(asked)
    if "roleArn" in asked.params:
        role(asked, asked.params["roleArn"])
    for name in ("roleArn", "disableSessionTags"):
        if name in asked.params:
            found[name] = asked.params[name]
    return {"association": found}


def delete_association(asked: Asked) -> Entry:
    found = _association(asked)
    del HELD.of(asked).pods[asked.params["clusterName"], asked.params["associationId"]]
    return {"association": found}


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
