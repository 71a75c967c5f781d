"""What a gateway redacts in the platform: who must, by what, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config.screening import SECRETS, Guard, Screening
from edge.redaction.identifiers import IDENTIFIERS
from edge.redaction.models import TRUSTED
from edge.redaction.rules import ModelFile, OwnPattern, Topic
from isthmus.blueprints import image_digests, missing_values
from isthmus.contracts.platform import overrides
from isthmus.contracts.platform.lookups import gateways as lookups_gateways
from isthmus.contracts.platform.model import screening as platform_screening
from isthmus.contracts.platform.model.screening import Jurisdiction
from isthmus.contracts.platform.rules import screening as screening_rules
from isthmus.core.errors import InputError, Refused
from tests.contracts.bank import GERMAN, platform_data, refused, screening

Change = Callable[[dict[str, Any]], object]
INTERNAL = 2


def internal(data: dict[str, Any]) -> dict[str, Any]:
    return data["gateways"][INTERNAL]


def guards(*said: dict[str, Any], at: int = INTERNAL, **more: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        data["gateways"][at]["screening"] = {**screening(), **more, "guards": list(said)}

    return change


GUARD = {"name": "g", "on": "outputs", "entities": ["SECRET"]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda d: internal(d).pop("screening"),
            "prompts of gateway internal-fra1 leave fra1 for internal-haiku at frankfurt, class internal demands",
        ),
        (lambda d: internal(d).update(screening={}), "no model that finds names is named"),
        (
            guards({"name": "g", "on": "both", "endpoint": "confidential-llama-8b"}),
            "is of class confidential, and classes share no endpoint",
        ),
        (
            guards({"name": "g", "on": "both", "endpoint": "internal-haiku"}),
            "does not stand in the cluster of gateway internal-fra1",
        ),
    ],
)
def test_what_would_leave_as_it_came_is_answered_with_no(change: Change, says: str) -> None:
    assert says in refused(Refused, change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["images"].pop("detector"), "no image of the detector is named"),
        (lambda d: internal(d)["screening"]["models"].append(screening()["models"][0]), "stands twice"),
        (guards(GUARD, GUARD), "`g` stands twice in guards"),
        (guards({**GUARD, "name": "secrets-in-outputs"}), "is the class's own guard"),
        (guards({**GUARD, "max_characters": 4}), "one of entities, max_characters and endpoint"),
        (guards({"name": "g", "on": "both"}), "one of entities, max_characters and endpoint"),
        (guards({**GUARD, "on": "prompts", "then": "redact"}), "only entities in outputs are redacted"),
        (guards({"name": "g", "on": "both", "max_characters": 4}), "measures outputs"),
        (guards({**GUARD, "workloads": ["policy-asistant"]}), "Did you mean `policy-assistant`?"),
        (guards({**GUARD, "entities": ["TOPIC_WAR"]}), "no topic of that name is stated"),
        (guards({**GUARD, "then": "review"}), "keeps none"),
        (guards({"name": "g", "on": "both", "endpoint": "internal-haik"}), "Did you mean `internal-haiku`?"),
        (guards(jurisdictions=["germany"]), "jurisdictions"),
        (guards(models=[{"file": "/tmp/x.whl", "sha256": GERMAN, "language": "de"}]), "a wheel's name like"),
        (guards(models=[{"file": "x.whl", "language": "de"}]), "sha256"),
        (guards(limit_s=0), "limit_s"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(change: Change, says: str) -> None:
    assert says in refused(InputError, change)


def test_where_no_prompt_leaves_somebody_looks_through_answers_all_the_same() -> None:
    checked = overrides.validate(platform_data())
    stays = checked.gateways[INTERNAL].model_copy(update={"workloads": [], "screening": None})
    says = "class internal demands that secrets in answers are redacted, and gateway internal-fra1 has no detector"
    with pytest.raises(Exception, match=says):
        screening_rules.answers_are_looked_through(checked.model_copy(update={"gateways": [stays]}))
    empty = stays.model_copy(update={"screening": platform_screening.Screening()})
    screening_rules.answers_are_looked_through(checked.model_copy(update={"gateways": [empty]}))


def test_an_organisation_that_has_them_redacted_of_confidential_work_too_is_held_to_it() -> None:
    def change(data: dict[str, Any]) -> None:
        data["gateways"][1]["redacted"] = ["secrets-in-outputs"]

    assert "and gateway confidential-fra1 has no detector" in refused(Refused, change)


def test_by_patterns_alone_one_process_looks_and_by_models_two() -> None:
    said = platform_screening.Screening.model_validate
    assert [said(each).processes for each in ({}, screening(), {**screening(), "workers": 3})] == [1, 2, 3]


def test_an_empty_screening_wants_an_image_as_any_other() -> None:
    assert "detector" in image_digests.needed({"gateways": [{"screening": {}}]})
    assert "detector" not in image_digests.needed({"gateways": [{"class": "restricted"}]})


def test_a_class_whose_answers_are_not_redacted_needs_no_detector() -> None:
    data = platform_data()
    assert [each.get("screening") for each in data["gateways"][:INTERNAL]] == [None, None]
    overrides.validate(data)


def test_a_gateway_at_its_models_own_site_sends_nothing_away() -> None:
    gateway = overrides.validate(platform_data()).gateways[INTERNAL]
    (haiku,) = [e for e in overrides.validate(platform_data()).endpoints if e.id == "internal-haiku"]
    assert lookups_gateways.leaves(gateway, haiku)
    assert not lookups_gateways.leaves(gateway.model_copy(update={"site": "frankfurt"}), haiku)


def test_the_organisations_own_handling_counts() -> None:
    data = platform_data()
    internal(data)["redacted"] = ["leaving-class"]
    assert "leaving-class" in lookups_gateways.demanded(overrides.validate(data).gateways[INTERNAL])


def test_a_guards_model_stands_in_the_gateways_cluster() -> None:
    data = platform_data()
    guards({"name": "g", "on": "both", "endpoint": "confidential-llama-8b"}, at=1)(data)
    found = overrides.validate(data).gateways[1].screening
    assert found is not None
    assert found.judges == ["confidential-llama-8b"]
    data["endpoints"][1]["task"] = "embedding"
    data["endpoints"][1]["adapters"], data["gateways"][1]["workloads"][0]["adapter"] = [], None
    with pytest.raises(InputError, match="a guard answers in words"):
        overrides.validate(data)


def test_a_detector_is_refused_where_none_is_built() -> None:
    from tests.components.fargate import cloud

    data = cloud()
    data["gateways"][0]["screening"] = screening()
    with pytest.raises(InputError, match="runs on Fargate, where no detector is built"):
        overrides.validate(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["identities"][0].pop("guardrail"), "internal-haiku has no guardrail"),
        (lambda d: d["guardrails"][0].update(mode="off"), "internal-haiku has no guardrail"),
    ],
)
def test_on_fargate_a_guardrail_looks_through_answers_or_nobody_does(change: Change, says: str) -> None:
    from tests.components.fargate import cloud

    assert f"gateway internal-frankfurt runs on Fargate without a detector, and {says}" in refused(
        Refused, change, cloud()
    )


def test_on_fargate_no_guardrail_stands_before_a_model_of_ours() -> None:
    from tests.components.fargate import cloud

    checked = overrides.validate(cloud())
    hosted = checked.endpoints[0].model_copy(update={"target": "sagemaker"})
    ours = checked.model_copy(update={"endpoints": [hosted]})
    with pytest.raises(Exception, match="without a detector, and internal-haiku is none of Bedrock's"):
        screening_rules.answers_are_looked_through(ours)


def test_fargate_cannot_redact_so_nothing_leaves_it() -> None:
    from tests.components.fargate import cloud

    data = cloud()
    checked = overrides.validate(data)
    moved = checked.endpoints[0].model_copy(update={"site": "elsewhere"})
    beyond = checked.model_copy(update={"endpoints": [moved]})
    with pytest.raises(Exception, match="nothing redacts them on Fargate"):
        screening_rules.what_leaves_is_redacted(beyond)


def test_a_missing_model_is_asked_for_with_one_that_the_edge_trusts() -> None:
    data = platform_data()
    internal(data).pop("screening")
    asked = dict(missing_values.wanted(data))
    example = asked["gateways[internal-fra1].screening.models"]
    (wheel,) = [name for name in TRUSTED if name in example]
    assert TRUSTED[wheel].sha256 in example
    public = {**internal(data), "class": "public", "name": "public-fra1"}
    for gateway, wanted in ((public, 0), ({**public, "redacted": ["prompts-leaving-site"]}, 1)):
        found = missing_values.wanted({**data, "gateways": [gateway]})
        assert len([path for path, _ in found if path.endswith("screening.models")]) == wanted


def fields(one: Any) -> set[str]:
    return set(one.model_fields)


def test_the_contract_states_what_the_edge_takes() -> None:
    known = {place for each in IDENTIFIERS for place in each.jurisdictions}
    assert known == set(Jurisdiction.__args__)
    assert SECRETS == screening_rules.OWN_GUARD
    assert fields(platform_screening.ScreeningPattern) == fields(OwnPattern)
    assert fields(platform_screening.ScreeningTopic) == fields(Topic)
    assert fields(platform_screening.EntityModel) == fields(ModelFile)
    assert fields(platform_screening.ScreeningGuard) - {"endpoint"} == fields(Guard) - {"model"}
    stated = fields(platform_screening.Screening)
    assert fields(Screening) - {"detector", "redacted"} <= stated
    assert Screening.model_fields["limit_s"].default == platform_screening.Screening().limit_s


def test_a_trusted_models_name_with_another_digest_is_refused_by_the_edge(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another sha256 than its maker's"):
        ModelFile(file=tmp_path / "de_core_news_md-3.8.0-py3-none-any.whl", sha256="0" * 64, language="de")
