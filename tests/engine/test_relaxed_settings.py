"""A changed setting that may give data to somebody else counts as loosening, unless it is listed as free."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from isthmus.contracts.platform import deciding_fields, overrides
from isthmus.contracts.platform.deciding_fields import COMPARED, FREE, LOOSER, decides
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.reports.preview import RuleChange
from isthmus.contracts.trust import Trust
from isthmus.engine.pull_request import relaxed_settings
from tests import hosted, private
from tests.blueprints import bank
from tests.reports import moved_models

TODAY = date(2026, 11, 29)
RESTRICTED, INTERNAL = "restricted-fra1", "internal-fra1"
DIGEST = "sha256:" + "a" * 64


def changes(before: Platform, after: Platform, trust: Trust | None = None) -> list[RuleChange]:
    return list(relaxed_settings.setting_changes(before, after, trust or Trust(), TODAY))


def bank_with(*laid_over: dict[str, Any]) -> Platform:
    """The bank's platform with these overrides, one over another."""
    data = bank.platform().model_dump(mode="json", by_alias=True, exclude_unset=True)
    for change in laid_over:
        data = overrides.merge(data, change)
    return overrides.validate(data)


def what_changes(base: dict[str, Any], change: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Setting or part → old and new text."""
    return {
        found.what: (found.old, found.new)
        for found in changes(bank_with(base), bank_with(base, change))
        if found.kind == "trust" and found.loosens
    }


def site(**fields: Any) -> dict[str, Any]:
    return {"sites": [{"name": "fra1", **fields}]}


def gateway(name: str, **fields: Any) -> dict[str, Any]:
    return {"gateways": [{"name": name, **fields}]}


def link(**fields: Any) -> dict[str, Any]:
    return {"links": [{"name": "fra1-frankfurt", **fields}]}


def owners(*classes: str) -> dict[str, Any]:
    member = {"name": "owners", "role": "model-owner", "groups": ["oidc:kyc-models"], "classes": [*classes]}
    return {"people": {"members": [member]}}


def holders(ann: str, bob: str) -> dict[str, Any]:
    keys = {
        name: f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}"
        for name, letter in (("ann", ann), ("bob", bob))
    }
    people = [{"name": name, "user": f"oidc:{name}@bank.example", "key": key} for name, key in keys.items()]
    ops = {"name": "ops", "role": "platform", "groups": ["oidc:llm-ops"]}
    return {"people": {"members": [ops], "break_glass": {"keyholders": people}}}


def narratives(*clients: str) -> dict[str, Any]:
    return gateway(RESTRICTED, workloads=[{"name": "transaction-narratives", "clients": [*clients]}])


def freezes(*days: int) -> dict[str, Any]:
    """Releases do not move on, on these days of January 2027."""
    spans = [{"begin": f"2027-01-{day:02}T00:00:00Z", "end": f"2027-01-{day:02}T23:00:00Z"} for day in days]
    return gateway(INTERNAL, release_freezes=spans)


def names_model(letter: str) -> dict[str, Any]:
    german = {"file": "bank_de_names-1.0.0-py3-none-any.whl", "sha256": letter * 64, "language": "de"}
    english = next(entry for entry in bank.overrides()["gateways"] if entry["name"] == INTERNAL)["screening"][
        "models"
    ][1]
    return gateway(INTERNAL, screening={"models": [german, english]})


def topic(*phrases: str) -> dict[str, Any]:
    guard = {"name": "merger", "on": "prompts", "entities": ["TOPIC_MERGER"]}
    topics = [{"name": "MERGER", "phrases": [*phrases]}]
    return gateway(INTERNAL, screening={"topics": topics, "guards": [guard]})


def case_number(*context: str) -> dict[str, Any]:
    pattern = {
        "entity": "CASE_NUMBER",
        "pattern": "CF-[0-9]{8}",
        **({"context": [*context]} if context else {}),
    }
    return gateway(INTERNAL, screening={"patterns": [pattern]})


def vpc(letter: str) -> dict[str, Any]:
    network = {
        **{"name": "frankfurt", "mode": "existing", "vpc": f"vpc-0{letter * 16}"},
        **{"subnets": [f"subnet-0{letter * 15}{last}" for last in "ab"]},
        **{"route_tables": [f"rtb-0{letter * 16}"], "dns_firewall": {"mode": "manage"}},
    }
    return {"networks": [network]}


def operator(**values: Any) -> dict[str, Any]:
    release = {
        "chart": "oci://registry.bank.example/charts/gpu-operator",
        "version": "v25.3.4",
        "digest": DIGEST,
    }
    return {"operators": {"gpu_operator": "manage", "gpu_operator_release": {**release, "values": values}}}


def model(**fields: Any) -> dict[str, Any]:
    return {"endpoints": [{"id": "confidential-llama-3-1-8b", **fields}]}


NETWORK = "networks[frankfurt]"
LOOSENED: dict[str, tuple[dict[str, Any], dict[str, Any], set[str]]] = {
    "another resolver of the site": ({}, site(dns=["10.40.0.53", "10.40.99.53"]), {"sites[fra1].dns"}),
    "reviewers from the whole site": (
        gateway(RESTRICTED, reviews={"from_cidrs": ["10.40.8.0/28"]}),
        gateway(RESTRICTED, reviews={"from_cidrs": ["10.40.0.0/16"]}),
        {f"gateways[{RESTRICTED}].reviews.from_cidrs"},
    ),
    "all networks of the site over the link": (
        link(sources=["10.40.0.0/20"]),
        link(sources=None),
        {"links[fra1-frankfurt].sources"},
    ),
    "another zone over the link": (
        {},
        link(zones=["fra1.bank.example", "attacker.example"]),
        {"links[fra1-frankfurt].zones"},
    ),
    "another class of an owner": (
        owners("confidential"),
        owners("confidential", "restricted"),
        {"people.members[owners].classes"},
    ),
    "an owner of all classes": (owners("confidential"), owners(), {"people.members[owners].classes"}),
    "other keys of the keyholders": (
        holders("A", "B"),
        holders("C", "D"),
        {"people.break_glass.keyholders[ann].key", "people.break_glass.keyholders[bob].key"},
    ),
    "a senior reviewer": (
        gateway(RESTRICTED, reviews={"reviewers": [{"name": "joe", "client": "joe.people.bank.example"}]}),
        gateway(RESTRICTED, reviews={"reviewers": [{"name": "joe", "senior": True}]}),
        {f"gateways[{RESTRICTED}].reviews.reviewers[joe].senior"},
    ),
    "another client": (
        narratives("narratives.fincrime.svc"),
        narratives("narratives.fincrime.svc", "agent.team-tools.svc"),
        {f"gateways[{RESTRICTED}].workloads[transaction-narratives].clients"},
    ),
    "no clients any more": (
        narratives("narratives.fincrime.svc"),
        narratives(),
        {f"gateways[{RESTRICTED}].workloads[transaction-narratives].clients"},
    ),
    "other volumes of records": (
        {},
        gateway(
            RESTRICTED,
            audit={"volume": "efs-records", "sealer_volume": "efs-records-sealer"},
            reviews={
                "records_volume": "efs-reviews",
                "keys_volume": "efs-keys",
                "gateway_keys_volume": "efs-held",
            },
        ),
        {f"gateways[{RESTRICTED}].audit", f"gateways[{RESTRICTED}].reviews"},
    ),
    "content is kept": (
        {},
        gateway(
            RESTRICTED,
            audit={"content": {"volume": "content-keys", "days": {"transaction-narratives": 3660}}},
            reviews={"gateway_keys_volume": None},
        ),
        {f"gateways[{RESTRICTED}].audit.content", f"gateways[{RESTRICTED}].reviews.gateway_keys_volume"},
    ),
    "another image of the edge": (
        {},
        {"images": {"edge": f"registry.bank.example/team-x/edge@{DIGEST}"}},
        {"images.edge"},
    ),
    "other phrases of a topic": (
        topic("project heron", "heron deal"),
        topic("zzzz never said"),
        {f"gateways[{INTERNAL}].screening.topics[MERGER].phrases"},
    ),
    "a pattern that needs a word": (
        case_number(),
        case_number("qqqqqq"),
        {f"gateways[{INTERNAL}].screening.patterns[CASE_NUMBER].context"},
    ),
    "another entity model of the same name": (
        names_model("a"),
        names_model("b"),
        {f"gateways[{INTERNAL}].screening.models[de].sha256"},
    ),
    "an existing network": ({}, vpc("e"), {NETWORK}),
    "another existing network": (vpc("a"), vpc("b"), {NETWORK}),
    "another hearer of alarms": (
        {},
        {"contacts": {"security": ["soc@attacker.example"]}},
        {"contacts.security"},
    ),
    "a value of an operator's chart": (
        operator(),
        operator(
            toolkit={"repository": "", "version": "", "image": "mirror.attacker.example/toolkit:latest"}
        ),
        {"operators.gpu_operator_release"},
    ),
    "an existing bucket": (
        {},
        {"imports": {"Bucket bank-frankfurt-bucket": "legacy-shared-bucket"}},
        {"imports.Bucket bank-frankfurt-bucket"},
    ),
    "a release freeze that ends": (
        freezes(4, 9),
        freezes(4),
        {f"gateways[{INTERNAL}].release_freezes[1]"},
    ),
    "held answers are kept longer": (
        {},
        gateway(RESTRICTED, reviews={"keep_days": 3660}),
        {f"gateways[{RESTRICTED}].reviews.keep_days"},
    ),
    "a shared prefix cache": (
        model(prefix_cache="salted"),
        model(prefix_cache="shared"),
        {"endpoints[confidential-llama-3-1-8b].prefix_cache"},
    ),
    "a looser condition of an identity": (
        {"identities": [{"name": "internal-frankfurt", "network_condition": "every-region"}]},
        {"identities": [{"name": "internal-frankfurt", "network_condition": "own-region"}]},
        {"identities[internal-frankfurt].network_condition"},
    ),
}
FREELY: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fewer networks of reviewers": (
        gateway(RESTRICTED, reviews={"from_cidrs": ["10.40.0.0/16"]}),
        gateway(RESTRICTED, reviews={"from_cidrs": ["10.40.8.0/28"]}),
    ),
    "fewer networks over the link": (link(sources=None), link(sources=["10.40.0.0/20"])),
    "clients where there were none": (narratives(), narratives("narratives.fincrime.svc")),
    "fewer clients": (narratives("a.svc", "b.svc"), narratives("a.svc")),
    "fewer classes of an owner": (owners("confidential", "restricted"), owners("confidential")),
    "people, who are named by their groups": ({}, owners()),
    "one more release freeze": (freezes(4), freezes(4, 9)),
    "shorter retention of held answers": ({}, gateway(RESTRICTED, reviews={"keep_days": 8})),
    "a salted prefix cache": (model(prefix_cache="shared"), model(prefix_cache="salted")),
    "another digest of the same image": (
        {},
        {"images": {"edge": f"registry.bank.example/isthmus/edge:2@{DIGEST}"}},
    ),
    "more replicas and room": (
        {},
        {**gateway(RESTRICTED, replicas=4, cpu="2", memory="4Gi"), **model(drain_s=90, max_num_seqs=16)},
    ),
    "a budget and a tag": (
        {},
        {"budgets": [{"name": "internal-frankfurt", "monthly_usd": 9}], "tags": {"cost-centre": "9"}},
    ),
    "limits of use": (
        {},
        gateway(INTERNAL, workloads=[{"name": "policy-assistant", "allowance": {"requests_per_minute": 9}}]),
    ),
    "public work": ({}, gateway("public-fra1", host="other.bank.example")),
    "traces to a stated collector": (
        {},
        gateway(
            INTERNAL,
            traces={
                **{"endpoint": "https://collector.bank.example:4318/v1/traces", "address": "10.40.6.6"},
                **{"ca": "bank-authorities", "share": 0.1},
            },
        ),
    ),
    "monitors and room of an operator's chart": (
        operator(),
        operator(dcgmExporter={"serviceMonitor": {"enabled": True}, "resources": {"limits": {"cpu": "1"}}}),
    ),
    "another phrase of a topic": (topic("project heron"), topic("project heron", "heron deal")),
}


@pytest.mark.parametrize("name", LOOSENED, ids=list(LOOSENED))
def test_a_setting_that_gives_data_to_somebody_else_loosens(name: str):
    base, change, parts = LOOSENED[name]
    assert set(what_changes(base, change)) == parts


@pytest.mark.parametrize("name", FREELY, ids=list(FREELY))
def test_a_setting_that_gives_data_to_nobody_else_is_quiet(name: str):
    base, change = FREELY[name]
    assert what_changes(base, change) == {}


def with_parts(data: dict[str, Any], change: dict[str, Any]) -> Platform:
    return Platform.model_validate(overrides.merge(data, change))


def test_an_anchor_capture_and_shadow_of_somebody_loosen():
    data = hosted.platform()
    on_sagemaker = hosted.endpoint(data)
    shadow = on_sagemaker["sagemaker"].pop("shadow")
    capture = on_sagemaker["sagemaker"].pop("capture")
    for fields, part in (
        ({"capture": capture}, "capture"),
        ({"shadow": shadow}, "shadow"),
    ):
        change = {"endpoints": [{"id": hosted.HOSTED, "sagemaker": fields}]}
        before, after = with_parts(data, {}), with_parts(data, change)
        assert [c.what for c in changes(before, after)] == [f"endpoints[{hosted.HOSTED}].sagemaker.{part}"]
        assert changes(after, before) == []


def test_an_older_version_of_an_addon_loosens_and_a_newer_one_does_not():
    data = private.platform().model_dump(mode="json", by_alias=True, exclude_unset=True)

    def with_version(version: str) -> Platform:
        return with_parts(data, {"clusters": [{"name": "frankfurt", "addons": {"vpc-cni": version}}]})

    old, new = with_version("v1.12.0-eksbuild.1"), with_version("v1.21.1-eksbuild.1")
    (change,) = changes(new, old)
    assert change.what == "clusters[frankfurt].addons.vpc-cni"
    assert [c.what for c in changes(with_parts(data, {}), old)] == [change.what]
    assert changes(old, new) == []


def test_another_network_of_a_class_by_rdma_loosens():
    pool = bank.platform().pools[0].name

    def with_network(network: str) -> Platform:
        networks = [{"class": "restricted", "network": network}]
        rdma = {"resource": "rdma/hca", "networks": networks}
        data = bank.platform().model_dump(mode="json", by_alias=True, exclude_unset=True)
        return with_parts(data, {"pools": [{"name": pool, "fabric": {"rdma": rdma}}]})

    (change,) = changes(with_network("isthmus-restricted/rdma"), with_network("default/wan-bridge"))
    assert change.what == f"pools[{pool}].fabric.rdma.networks[restricted].network"


def test_an_anchor_of_somebody_loosens_although_its_account_is_known():
    account = "123456789012"
    base = {"sites": [{"name": "frankfurt", "account_id": account}]}
    anchor = f"arn:aws:rolesanywhere:eu-central-1:{account}:trust-anchor/0bad0bad-0bad-4bad-8bad-0bad0bad0bad"
    found = what_changes(base, {"trust": [{"name": "frankfurt", "mode": "existing", "trust_anchor": anchor}]})
    assert found["trust[frankfurt]"][0] == "mode: manage; trust_anchor: none"
    assert anchor in found["trust[frankfurt]"][1]


def test_a_change_names_old_and_new_value_and_the_base_can_approve_it():
    before, after = bank_with(), bank_with(LOOSENED["another zone over the link"][1])
    (refused,) = changes(before, after)
    assert (refused.old, refused.new) == ("fra1.bank.example", "fra1.bank.example, attacker.example")
    assert refused.entry == ("changes", "links[fra1-frankfurt].zones: fra1.bank.example, attacker.example")
    assert refused.entry is not None
    for value in (refused.entry[1], "links[fra1-frankfurt].*"):
        about = {"reason": "planned", "owner": "ana"}
        approved = Trust.model_validate({"changes": [{"value": value, **about}]})
        (shown,) = changes(before, after, approved)
        assert (shown.kind, shown.loosens) == ("reach", True)


def test_every_entry_that_would_approve_a_change_can_be_written():
    for base, change, _ in LOOSENED.values():
        for found in changes(bank_with(base), bank_with(base, change)):
            assert found.entry is not None
            entry = {"value": found.entry[1], "reason": "planned", "owner": "ana"}
            Trust.model_validate({"changes": [entry]})


def test_what_another_comparison_shows_is_not_shown_again():
    internal = next(g for g in bank.platform().gateways if g.name == INTERNAL)
    for change in (
        site(cidrs=["10.40.0.0/16", "52.94.0.0/16"]),
        site(kube_context="elsewhere"),
        {"issuer": {"name": "evil-ca"}},
        {"images": {"vllm": f"mirror.group.example/vllm@{DIGEST}"}},
        {"audit": [{"name": "frankfurt", "retention_days": 4000}]},
        gateway(
            INTERNAL,
            database={"user": "postgres"},
            destinations=[d.model_dump() for d in internal.destinations],
        ),
    ):
        data = bank.platform().model_dump(mode="json", by_alias=True, exclude_unset=True)
        assert changes(with_parts(data, {}), with_parts(data, change)) == [], change


def test_a_network_under_another_name_is_compared_with_the_one_that_it_replaces():
    before = bank.platform()
    (network,) = before.networks
    other = network.model_copy(update={"name": "other", "mode": "existing", "vpc": "vpc-0abc"})
    after = before.model_copy(update={"networks": [other]})
    assert [c.what for c in changes(before, after)] == ["networks[other]"]


def test_work_that_moves_by_the_plan_and_new_models_are_quiet(tmp_path: Any):
    on_prem = moved_models.laid_on_prem(tmp_path).platform()
    assert changes(on_prem, bank.platform()) == []


def test_nothing_is_compared_without_classified_work_or_where_a_commit_lacks_the_stack():
    data = bank.platform()
    public = [part.model_copy(update={"class_": "public"}) for part in data.gateways]
    endpoints = [part.model_copy(update={"class_": "public"}) for part in data.endpoints]
    before = data.model_copy(update={"gateways": public, "endpoints": endpoints})
    after = before.model_copy(update={"contacts": data.contacts.model_copy(update={"security": []})})
    assert changes(before, after) == []
    assert list(relaxed_settings.setting_changes(None, data, Trust(), TODAY)) == []
    assert list(relaxed_settings.setting_changes(data, None, Trust(), TODAY)) == []


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, bool]]:
    """Path of each field in a model, and whether it is a part with fields of its own."""
    for name, info in model.model_fields.items():
        at = f"{path}.{info.alias or name}" if path else info.alias or name
        below = list(_models(info.annotation))
        yield at, bool(below)
        for part in below:
            yield from _fields(part, at)


FIELDS = dict(_fields(Platform))
LISTED = {path for table in (FREE, COMPARED) for paths in table.values() for path in paths} | set(LOOSER)


def test_every_listed_field_is_one_of_the_platforms_and_is_listed_once():
    parts = {path for path, is_part in FIELDS.items() if is_part}
    assert set(FIELDS) - parts >= LISTED
    assert parts >= deciding_fields.ADDED_FREELY | deciding_fields.REMOVED_FREELY
    named = [path for table in (FREE, COMPARED) for paths in table.values() for path in paths]
    assert sorted([*named, *LOOSER]) == sorted(LISTED)


def test_every_field_that_is_not_listed_decides_in_both_directions():
    values = sorted(path for path, is_part in FIELDS.items() if not is_part)
    assert len(values) > 400
    for path in values:
        both = decides(path, "a", "b") and decides(path, "b", "a") if path not in LISTED else False
        assert both == (path not in LISTED), (
            f"{path}: list it in deciding_fields with a reason, or let it decide"
        )
    assert decides("gateways.added_tomorrow", 1, 2), "a new field decides until somebody lists it"


def _changed_values(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path of each scalar of a platform, and the platform with another value there."""
    for name, info in type(model).model_fields.items():
        at, value = f"{path}.{info.alias or name}" if path else info.alias or name, getattr(model, name)
        if isinstance(value, BaseModel):
            for below, part in _changed_values(value, at):
                yield below, model.model_copy(update={name: part})
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for index, item in enumerate(value):
                for below, part in _changed_values(item, at):
                    yield below, model.model_copy(update={name: [*value[:index], part, *value[index + 1 :]]})
        elif isinstance(value, str) and value and info.annotation is not None:
            yield at, model.model_copy(update={name: f"{value}-x"})


def test_each_changed_text_of_the_bank_that_is_not_listed_is_shown_by_some_comparison():
    from isthmus.engine.pull_request import relaxed_trust

    before, seen = bank.platform(), set[str]()
    for path, after in _changed_values(before):
        if path in LISTED or path in seen or path.rpartition(".")[2] == "class":
            continue
        seen.add(path)
        found = changes(before, after)
        stated = [c for c in relaxed_trust.stated_changes(before, after, Trust(), TODAY) if c.loosens]
        if not (found or stated):
            # The only items whose change shows nothing are those of public work.
            seen.discard(path)
    unlisted = {path for path, _ in _changed_values(before)} - LISTED
    assert {path for path in unlisted - seen if path.rpartition(".")[2] != "class"} == set()
    assert len(seen) > 20
