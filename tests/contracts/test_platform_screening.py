"""Redaction by gateways in the platform: when it is required, by which detector, and what is refused."""

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


def guards(*guard_settings: dict[str, Any], at: int = INTERNAL, **more: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        data["gateways"][at]["screening"] = {**screening(), **more, "guards": list(guard_settings)}

    return change


GUARD = {"name": "g", "on": "outputs", "entities": ["SECRET"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: internal(d).pop("screening"),
            "prompts of gateway internal-fra1 leave site fra1 for endpoint",
        ),
        (
            lambda d: internal(d).update(screening={}),
            "prompts of gateway internal-fra1 leave site fra1 for endpoint",
        ),
        (
            guards({"name": "g", "on": "both", "endpoint": "confidential-llama-8b"}),
            "guard model confidential-llama-8b is of class confidential, but the",
        ),
        (
            guards({"name": "g", "on": "both", "endpoint": "internal-haiku"}),
            "guard model internal-haiku is not a model server in the cluster of",
        ),
    ],
)
def test_unscreened_prompts_may_not_leave_the_site(change: Change, message: str) -> None:
    assert message in refused(Refused, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d["images"].pop("detector"),
            "`images` has no detector, which `screening` of gateway internal-fra1",
        ),
        (
            lambda d: internal(d)["screening"]["models"].append(screening()["models"][0]),
            "`de` appears twice in models (models[0] and models[1])",
        ),
        (guards(GUARD, GUARD), "`g` appears twice in guards (guards[0] and guards[1])"),
        (
            guards({**GUARD, "name": "secrets-in-outputs"}),
            "the guard name `secrets-in-outputs` is reserved for the class's own",
        ),
        (guards({**GUARD, "max_characters": 4}), "one of entities, max_characters and endpoint"),
        (guards({"name": "g", "on": "both"}), "one of entities, max_characters and endpoint"),
        (
            guards({**GUARD, "on": "prompts", "then": "redact"}),
            "guard g has `then: redact`, which works only for entities in outputs",
        ),
        (
            guards({"name": "g", "on": "both", "max_characters": 4}),
            "guard g has max_characters, which works only for outputs",
        ),
        (guards({**GUARD, "workloads": ["policy-asistant"]}), "Did you mean `policy-assistant`?"),
        (
            guards({**GUARD, "entities": ["TOPIC_WAR"]}),
            "guard g looks for TOPIC_WAR, but `topics` has no such topic",
        ),
        (
            guards({**GUARD, "then": "review"}),
            "guard g has `then: review`, but gateway internal-fra1 has no `reviews`",
        ),
        (guards({"name": "g", "on": "both", "endpoint": "internal-haik"}), "Did you mean `internal-haiku`?"),
        (guards(jurisdictions=["germany"]), "jurisdictions"),
        (guards(models=[{"file": "/tmp/x.whl", "sha256": GERMAN, "language": "de"}]), "a wheel's name like"),
        (guards(models=[{"file": "x.whl", "language": "de"}]), "sha256"),
        (guards(limit_s=0), "limit_s"),
    ],
)
def test_an_impossible_setting_is_refused_with_its_reason(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


def test_answers_are_screened_even_if_no_prompt_leaves() -> None:
    checked = overrides.validate(platform_data())
    stays = checked.gateways[INTERNAL].model_copy(update={"workloads": [], "screening": None})
    message = "class internal demands redaction of secrets in answers, but gateway"
    with pytest.raises(Exception, match=message):
        screening_rules.answers_are_screened(checked.model_copy(update={"gateways": [stays]}))
    empty = stays.model_copy(update={"screening": platform_screening.Screening()})
    screening_rules.answers_are_screened(checked.model_copy(update={"gateways": [empty]}))


def test_a_stricter_organisation_needs_redaction_of_confidential_answers() -> None:
    def change(data: dict[str, Any]) -> None:
        data["gateways"][1]["redacted"] = ["secrets-in-outputs"]

    assert "class confidential demands redaction of secrets in answers, but" in refused(Refused, change)


def test_patterns_need_one_screening_process_and_models_two() -> None:
    validate = platform_screening.Screening.model_validate
    assert [validate(values).processes for values in ({}, screening(), {**screening(), "workers": 3})] == [
        1,
        2,
        3,
    ]


def test_an_empty_screening_also_needs_an_image() -> None:
    assert "detector" in image_digests.needed_images({"gateways": [{"screening": {}}]})
    assert "detector" not in image_digests.needed_images({"gateways": [{"class": "restricted"}]})


def test_a_class_whose_answers_are_not_redacted_needs_no_detector() -> None:
    data = platform_data()
    assert [gateway.get("screening") for gateway in data["gateways"][:INTERNAL]] == [None, None]
    overrides.validate(data)


def test_a_gateway_at_the_site_of_its_model_sends_no_prompt_away() -> None:
    gateway = overrides.validate(platform_data()).gateways[INTERNAL]
    (haiku,) = [e for e in overrides.validate(platform_data()).endpoints if e.id == "internal-haiku"]
    assert lookups_gateways.leaves_site(gateway, haiku)
    assert not lookups_gateways.leaves_site(gateway.model_copy(update={"site": "frankfurt"}), haiku)


def test_stricter_handling_of_the_organisation_requires_more_redaction() -> None:
    data = platform_data()
    internal(data)["redacted"] = ["leaving-class"]
    assert "leaving-class" in lookups_gateways.required_redactions(
        overrides.validate(data).gateways[INTERNAL]
    )


def test_a_guard_model_runs_in_the_cluster_of_the_gateway() -> None:
    data = platform_data()
    guards({"name": "g", "on": "both", "endpoint": "confidential-llama-8b"}, at=1)(data)
    screening = overrides.validate(data).gateways[1].screening
    assert screening is not None
    assert screening.judges == ["confidential-llama-8b"]
    data["endpoints"][1]["task"] = "embedding"
    data["endpoints"][1]["adapters"], data["gateways"][1]["workloads"][0]["adapter"] = [], None
    with pytest.raises(
        InputError, match="guard model confidential-llama-8b has task embedding, but a guard must write"
    ):
        overrides.validate(data)


def test_a_detector_for_a_gateway_on_fargate_is_refused() -> None:
    from tests.components.fargate import cloud

    data = cloud()
    data["gateways"][0]["screening"] = screening()
    with pytest.raises(
        InputError, match="gateway internal-frankfurt runs on Fargate, which does not support `screening`"
    ):
        overrides.validate(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["identities"][0].pop("guardrail"), "internal-haiku has no guardrail"),
        (lambda d: d["guardrails"][0].update(mode="off"), "internal-haiku has no guardrail"),
    ],
)
def test_on_fargate_answers_need_a_guardrail(change: Change, message: str) -> None:
    from tests.components.fargate import cloud

    assert (
        f"gateway internal-frankfurt runs on Fargate without a detector, and endpoint {message}"
        in refused(Refused, change, cloud())
    )


def test_on_fargate_a_hosted_model_has_no_guardrail() -> None:
    from tests.components.fargate import cloud

    checked = overrides.validate(cloud())
    hosted = checked.endpoints[0].model_copy(update={"target": "sagemaker"})
    hosting = checked.model_copy(update={"endpoints": [hosted]})
    with pytest.raises(Exception, match="class internal demands redaction of secrets in answers; gateway"):
        screening_rules.answers_are_screened(hosting)


def test_prompts_that_need_redaction_may_not_leave_fargate() -> None:
    from tests.components.fargate import cloud

    data = cloud()
    checked = overrides.validate(data)
    moved = checked.endpoints[0].model_copy(update={"site": "elsewhere"})
    beyond = checked.model_copy(update={"endpoints": [moved]})
    with pytest.raises(
        Exception, match="prompts of gateway internal-frankfurt leave site frankfurt for endpoint"
    ):
        screening_rules.prompts_leaving_the_site_are_redacted(beyond)


def test_a_missing_model_is_requested_with_a_trusted_example() -> None:
    data = platform_data()
    internal(data).pop("screening")
    missing = dict(missing_values.list_missing_values(data))
    example = missing["gateways[internal-fra1].screening.models"]
    (wheel,) = [name for name in TRUSTED if name in example]
    assert TRUSTED[wheel].sha256 in example
    public = {**internal(data), "class": "public", "name": "public-fra1"}
    for gateway, expected in ((public, 0), ({**public, "redacted": ["prompts-leaving-site"]}, 1)):
        found_values = missing_values.list_missing_values({**data, "gateways": [gateway]})
        assert len([path for path, _ in found_values if path.endswith("screening.models")]) == expected


def fields(model: Any) -> set[str]:
    return set(model.model_fields)


def test_the_contract_has_the_same_screening_settings_as_the_edge() -> None:
    identifiers = {place for identifier in IDENTIFIERS for place in identifier.jurisdictions}
    assert identifiers == set(Jurisdiction.__args__)
    assert SECRETS == screening_rules.CLASS_GUARD_NAME
    assert fields(platform_screening.ScreeningPattern) == fields(OwnPattern)
    assert fields(platform_screening.ScreeningTopic) == fields(Topic)
    assert fields(platform_screening.EntityModel) == fields(ModelFile)
    assert fields(platform_screening.ScreeningGuard) - {"endpoint"} == fields(Guard) - {"model"}
    settings = fields(platform_screening.Screening)
    assert fields(Screening) - {"detector", "redacted"} <= settings
    assert Screening.model_fields["limit_s"].default == platform_screening.Screening().limit_s


def test_a_trusted_models_name_with_another_digest_is_refused_by_the_edge(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another sha256 than its maker's"):
        ModelFile(file=tmp_path / "de_core_news_md-3.8.0-py3-none-any.whl", sha256="0" * 64, language="de")
