"""Faults in reviews: answers that are not held, and access to the review service."""

from __future__ import annotations

from typing import Any

from isthmus.engine.render.recorder import Resource
from tests.broken_graphs.parts import CONFIGS, CONFIGURED
from tests.broken_graphs.resources import beside
from tests.mutation.shapes import Context, Family

FAMILY = Family("audit")
ROLE = "isthmus.dev/role"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
RBAC = "kubernetes:rbac.authorization.k8s.io/v1"


def holds(config: Any, _: Context) -> bool:
    return config["mode"] == "gateway" and bool(config.get("reviews"))


def weighty(config: Any, context: Context) -> bool:
    return holds(config, context) and bool(_weighty(config))


def _weighty(config: Any) -> list[Any]:
    return [workload for workload in config["workloads"] if workload["impact"] != "low"]


def scored(config: Any, context: Context) -> bool:
    return holds(config, context) and any("review" in workload for workload in config["workloads"])


def of_reviews(inputs: Any, context: Context) -> bool:
    return context.labelled(ROLE) == "reviews" and bool(inputs["spec"].get("egress"))


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=holds)
def answers_given_out_unseen(config: Any, context: Context) -> None:
    """A gateway's configuration names no reviews any more, nor what of its workloads would ask for them."""
    del config["reviews"]
    for workload in config["workloads"]:
        workload.pop("review", None)
        workload.pop("impact")


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=weighty)
def impact_taken_for_low(config: Any, context: Context) -> None:
    """A workload of high or material impact is said to be of low."""
    context.rng.choice(_weighty(config))["impact"] = "low"


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=scored)
def threshold_that_every_score_passes(config: Any, context: Context) -> None:
    """No score of a workload is low any more."""
    workload = context.rng.choice([candidate for candidate in config["workloads"] if "review" in candidate])
    workload["review"]["below_confidence"] = 0.0


@FAMILY.changes(POLICY, where=of_reviews)
def reviews_let_out_to_the_whole_site(inputs: Any, context: Context) -> None:
    """Where people decide, every address of the database's network is reached in place of the database."""
    block = inputs["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["cidr"] = ".".join([*block["cidr"].split(".")[:2], "0.0/16"])


@FAMILY.changes(POLICY, where=of_reviews)
def reviews_open_to_another_namespace(inputs: Any, context: Context) -> None:
    """Another namespace than the stated ones is let in to where people decide."""
    labels = {"kubernetes.io/metadata.name": "tools"}
    inputs["spec"]["ingress"][0]["from"].append({"namespaceSelector": {"matchLabels": labels}})


@FAMILY.adds(POLICY, where=of_reviews)
def role_where_people_decide(inputs: Any, context: Context) -> list[Resource]:
    """A group of people is given a role in the namespace where held answers are decided upon."""
    meta = {"name": "gateway-operators", "namespace": context.space}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operators"}
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "llm-ops"}
    body = {"metadata": meta, "roleRef": role, "subjects": [group]}
    return [beside(context.resource, f"{RBAC}:RoleBinding", "operators", body)]


def has_desk(config: Any, _: Context) -> bool:
    return config["mode"] == "reviews" and bool(config.get("desk"))


def has_deadlines(config: Any, _: Context) -> bool:
    return config["mode"] == "reviews" and bool(config.get("domains"))


def notifies(config: Any, _: Context) -> bool:
    return config["mode"] == "notifier"


def of_notifier(inputs: Any, context: Context) -> bool:
    return context.labelled(ROLE) == "notifier" and bool(inputs["spec"].get("egress"))


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=has_desk)
def desk_open_to_another_group(config: Any, context: Context) -> None:
    """Another group of the sign-on has a role at the desk."""
    context.rng.choice(config["desk"]["groups"])["groups"].append("contractors")


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=has_desk)
def auditors_who_read_and_decide(config: Any, context: Context) -> None:
    """Those who may only see that people decided are made reviewers of all answers."""
    for group in config["desk"]["groups"]:
        if group["role"] == "auditor":
            group["role"] = "reviewer"


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=has_desk)
def board_that_follows_each_reviewer(config: Any, context: Context) -> None:
    """The board has figures of each person in place of groups."""
    config["desk"]["people"] = "pseudonymous"


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=has_deadlines)
def deadline_that_comes_much_later(config: Any, context: Context) -> None:
    """Nobody is told for weeks that an answer waits."""
    domain = context.rng.choice(config["domains"])
    domain["decide_h"] = domain["decide_h"] * 20
    domain.pop("remind_h", None)


@FAMILY.changes(*CONFIGURED, lens=CONFIGS, where=notifies)
def notifications_that_go_to_somebody_else(config: Any, context: Context) -> None:
    """A mailbox outside the organisation is told of answers that wait."""
    [mail, *_] = [target["mail"] for target in config["targets"] if "mail" in target]
    mail["to"] = ["somebody@mail.example"]


@FAMILY.changes(POLICY, where=of_notifier)
def notifier_let_out_to_the_whole_site(inputs: Any, context: Context) -> None:
    """The notifier reaches every address of the relay's network in place of the relay."""
    block = inputs["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["cidr"] = ".".join([*block["cidr"].split(".")[:2], "0.0/16"])
