"""Settings of model serving: scaling, fetched weights, canaries, engines and routers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.contracts.platform.deciding_fields import decides
from isthmus.contracts.platform.lookups.node_cache import fetchers
from isthmus.contracts.platform.lookups.serving import at_max_replicas
from isthmus.contracts.platform.migration import capacity as migration_capacity
from isthmus.contracts.platform.model.platform import Endpoint
from isthmus.contracts.platform.model.serving import Adapter, CompileCache, Speculative, WeightCache, Weights
from isthmus.contracts.platform.rules.serving import compile_caches_have_storage
from isthmus.core.errors import FieldError, InputError, Refused
from tests.contracts.bank import platform_data
from tests.contracts.test_platform_model import parse, refused
from tests.policies.making import platform_with

Change = Callable[[dict[str, Any]], object]
LLAMA = "confidential-llama-8b"
STORE = {"endpoint": "https://s3.fra1.bank.example:9000", "address": "10.40.3.10", "credentials_secret": "s3"}
S3 = {
    "uri": "s3://models/llama-8b/v1",
    "digest": "sha256:" + "b" * 64,
    "store": STORE,
    "cache": {"storage_class": "shared"},
}
DISK = {"node_path": "/mnt/nvme/isthmus"}
SECOND = {
    **{"id": "confidential-llama-8b-v2", "class": "confidential", "site": "fra1", "target": "onprem-vllm"},
    **{"model": "meta-llama/Llama-3.2-8B", "pool": "l40s", "gpus": 1},
    "weights": {"uri": "pvc://v2", "digest": "sha256:" + "c" * 64},
    "adapters": [{"name": "kyc-fields", "rank": 16, "size_mib": 84}],
}


def scale(data: dict[str, Any], **more: Any) -> None:
    """The confidential model scaled from its six replicas to eight, all that the pool has."""
    data["scaling"] = [{"endpoint": LLAMA, "min_replicas": 6, "max_replicas": 8, **more}]
    data["monitoring"]["prometheus_url"] = "http://prometheus.monitoring.svc:9090"


def sleep(data: dict[str, Any], **more: Any) -> None:
    """A model of one replica that may go to sleep."""
    data["endpoints"][1].update(replicas=1, gpus=1, survive="none")
    scale(data, **{"min_replicas": 0, "max_replicas": 2, "cold_start_s": 1800, **more})


def weigh(data: dict[str, Any], **more: Any) -> None:
    data["endpoints"][1]["weights"] = {**S3, **more}
    data["images"]["translator"] = data["images"]["edge"].replace("edge", "translator")


def canary(data: dict[str, Any], percent: float = 1, **more: Any) -> None:
    data["endpoints"].append({**SECOND, **more})
    data["gateways"][1]["workloads"][0]["canary"] = {
        "endpoint": data["endpoints"][-1]["id"],
        "percent": percent,
    }


DATABASE = {"host": "db.bank", "address": "10.80.0.20", "name": "isthmus", "user": "gateway"}


def shadow(data: dict[str, Any], **more: Any) -> None:
    """Copies of a tenth of the requests go to the canary."""
    canary(data, 0)
    data["gateways"][1]["database"] = DATABASE
    settings = {"release": "v2", "shadow_percent": 10, **more}
    data["gateways"][1]["workloads"][0]["canary"].update(settings)


def by_token(data: dict[str, Any]) -> None:
    price = {"prompt": 1.0, "completion": 2.0}
    data["endpoints"][-1]["cost"] = {
        "usd_per_million_tokens": price,
        "source": "contract",
        "as_of": "2026-11-02",
    }


def endpoint_change(index: int, **more: Any) -> Change:
    return lambda data: data["endpoints"][index].update(more)


def combined(*changes: Change) -> Change:
    def change(data: dict[str, Any]) -> None:
        for change in changes:
            change(data)

    return change


def changed(change: Change) -> dict[str, Any]:
    data = platform_data()
    change(data)
    return data


@pytest.mark.parametrize(
    "change",
    [
        scale,
        sleep,
        weigh,
        canary,
        endpoint_change(1, speculative={"method": "ngram", "tokens": 4}),
        endpoint_change(1, speculative={"method": "eagle3", "tokens": 3, "path": "heads/eagle3"}),
        endpoint_change(1, prefix_cache="salted"),
        endpoint_change(1, task="guard", prefix_cache="off"),
        endpoint_change(1, drain_s=300),
        lambda d: d.update(scaling=[{"endpoint": LLAMA, "min_replicas": 6, "max_replicas": 6}]),
    ],
)
def test_servable_settings_are_accepted(change: Change) -> None:
    assert parse(changed(change))


def test_quotas_and_pools_must_hold_the_maximum_of_replicas() -> None:
    most = at_max_replicas(parse(changed(scale)))
    assert {endpoint.id: (endpoint.replicas, endpoint.gpus) for endpoint in most.endpoints}[LLAMA] == (8, 8)
    message = refused(InputError, lambda data: scale(data, max_replicas=9))
    assert "do not fit pool l40s (9 GPUs of 8 usable" in message


def test_a_migration_leaves_room_for_the_maximum_of_replicas() -> None:
    stands = {
        endpoint.id: endpoint.replicas
        for endpoint in migration_capacity.built_endpoints(parse(changed(scale)))
    }
    assert stands[LLAMA] == 8


def test_a_platform_without_scaling_is_unchanged() -> None:
    platform = parse(platform_data())
    assert at_max_replicas(platform) is platform


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: scale(d, min_replicas=5), "the plan has 6"),
        (lambda d: scale(d, max_replicas=5), "max_replicas is 5, below min_replicas 6"),
        (
            combined(scale, lambda d: d["monitoring"].pop("prometheus_url")),
            "endpoint confidential-llama-8b is scaled by load, but",
        ),
        (
            combined(scale, lambda d: d["monitoring"].update(pod_monitors=False)),
            "endpoint confidential-llama-8b is scaled by load, but",
        ),
        (
            combined(scale, lambda d: d.update(operators={"keda": "off"})),
            "endpoint confidential-llama-8b is scaled by load, but operators.keda",
        ),
        (
            lambda d: (d["gateways"][0].update(max_replicas=9), d["monitoring"].pop("prometheus_url", None)),
            "is scaled by load, but monitoring.prometheus_url is not set",
        ),
        (
            combined(scale, lambda d: d["gateways"][0].update(max_replicas=2, replicas=3)),
            "is 2, below its 3 replicas",
        ),
        (
            combined(scale, lambda d: d.update(operators={"keda": "manage"})),
            "endpoint confidential-llama-8b is scaled by load, but operators.keda",
        ),
        (
            lambda d: scale(d, endpoint="internal-haiku", min_replicas=1),
            "endpoint internal-haiku runs on bedrock, which `scaling` does not",
        ),
        (lambda d: scale(d, endpoint="confidential-lama-8b"), "there is no endpoint `confidential-lama-8b`"),
        (
            combined(scale, endpoint_change(1, nodes_per_replica=2, replicas=2, gpus=4, survive="none")),
            "endpoint confidential-llama-8b cannot be scaled by load, because a",
        ),
        (
            lambda d: sleep(d, cold_start_s=None),
            "min_replicas is 0, and a start of confidential-llama-8b can take 1800",
        ),
        (
            lambda d: sleep(d, cold_start_s=1799),
            "min_replicas is 0, and a start of confidential-llama-8b can take 1800",
        ),
        (
            combined(sleep, endpoint_change(1, replicas=2, gpus=2, survive="replica")),
            "min_replicas is 0, but the plan needs 2 replicas of",
        ),
        (
            combined(sleep, lambda d: d["gateways"][1]["workloads"][0].update(impact="material")),
            "kyc may not wait",
        ),
        (
            combined(sleep, lambda d: canary(d), lambda d: d["scaling"][0].update(endpoint=SECOND["id"])),
            "min_replicas is 0, but no workload of a gateway has",
        ),
    ],
)
def test_an_endpoint_that_cannot_scale_is_refused(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: weigh(d, store=None),
            "the weights of confidential-llama-8b come from s3, but have no store",
        ),
        (
            lambda d: weigh(d, cache=None),
            "the weights of confidential-llama-8b come from s3, but have no cache",
        ),
        (lambda d: weigh(d, volume="v"), "the cache's own volume"),
        (
            lambda d: d["endpoints"][1]["weights"].update(store=STORE),
            "the weights of confidential-llama-8b come from pvc, which does not",
        ),
        (
            combined(weigh, lambda d: d["images"].pop("translator")),
            "`images` has no translator, which fetches the weights of",
        ),
        (
            lambda d: weigh(d, store={**STORE, "endpoint": "http://s3.bank.example"}),
            "the endpoint of the weight store is not a plain https address",
        ),
        (
            lambda d: weigh(d, store={**STORE, "endpoint": "https://key:word@s3.bank.example"}),
            "the endpoint of the weight store is not a plain https address",
        ),
        (lambda d: weigh(d, store={**STORE, "address": "10.40.3.999"}), "is not an address"),
        (lambda d: weigh(d, store={**STORE, "address": "s3.bank.example"}), "an address like `10.40.3.10`"),
        (lambda d: weigh(d, uri="s3://models"), "`s3://BUCKET/PREFIX`"),
        (lambda d: weigh(d, cache={}), "the weight cache has neither `storage_class` nor `node_path`"),
        (
            lambda d: weigh(d, cache={**DISK, "storage_class": "shared"}),
            "both `storage_class` and `node_path`",
        ),
        (
            lambda d: weigh(d, cache={"node_path": "mnt/nvme"}),
            "is not a plain absolute path of a folder",
        ),
        (
            lambda d: weigh(d, cache={"node_path": "/mnt/../etc"}),
            "is not a plain absolute path of a folder",
        ),
        (
            lambda d: weigh(d, cache={"node_path": "/mnt/nvme/"}),
            "is not a plain absolute path of a folder",
        ),
        (
            combined(weigh, lambda d: develop(d, weights={**S3, "cache": DISK})),
            "endpoint internal-tiny has weights.cache.node_path, but no pool whose",
        ),
    ],
)
def test_unfetchable_weights_are_refused(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


@pytest.mark.parametrize("uri", ["pvc://models/../keys", "pvc://models/..", "s3://models/../x"])
def test_weights_outside_their_folder_are_refused(uri: str) -> None:
    with pytest.raises(ValidationError, match="leads out of the weights' folder"):
        Weights(uri=uri, digest="sha256:" + "b" * 64)


def test_adapters_and_draft_models_stay_below_the_weights() -> None:
    with pytest.raises(ValidationError, match="leads out of the weights' folder"):
        Adapter(name="kyc", rank=16, size_mib=84, path="../keys")
    with pytest.raises(ValidationError, match="leads out of the weights' folder"):
        Speculative(method="eagle", tokens=3, path="heads/../../keys")
    assert Adapter(name="kyc", rank=16, size_mib=84, path="a..b/c").path == "a..b/c"


def test_weights_may_be_stored_on_the_disks_of_the_pool() -> None:
    platform = parse(changed(lambda d: weigh(d, cache=DISK)))
    pool = next(pool for pool in platform.pools if pool.name == "l40s")
    assert fetchers(platform, platform.endpoints[1]) == pool.nodes > 1
    assert fetchers(platform, platform.endpoints[0]) == 0
    shared = parse(changed(weigh))
    assert fetchers(shared, shared.endpoints[1]) == 0, "a job fetches, once"


def test_a_password_in_the_stores_address_is_not_repeated() -> None:
    message = refused(
        InputError, lambda d: weigh(d, store={**STORE, "endpoint": "https://key:word@s3.bank.example"})
    )
    assert "word@" not in message


def test_confidential_weights_come_from_the_sites_own_networks() -> None:
    message = refused(Refused, lambda d: weigh(d, store={**STORE, "address": "52.1.2.3"}))
    assert "endpoint confidential-llama-8b of class confidential would fetch" in message
    assert parse(changed(lambda d: weigh(d, store={**STORE, "address": "10.80.0.9"})))


def test_restricted_weights_come_from_on_prem_alone() -> None:
    def restricted(data: dict[str, Any]) -> None:
        weigh(data)
        data["endpoints"][0]["weights"] = {**S3, "store": {**STORE, "address": "10.80.0.9"}}

    assert "endpoint restricted-llama-70b of class restricted would fetch weights" in refused(
        Refused, restricted
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: canary(d, adapters=[]), "it has no adapter kyc-fields"),
        (lambda d: canary(d, task="guard"), "its task is guard"),
        (
            lambda d: d["gateways"][1]["workloads"][0].update(canary={"endpoint": LLAMA, "percent": 1}),
            "endpoint confidential-llama-8b cannot be the canary of workload kyc:",
        ),
        (
            lambda d: d["gateways"][1]["workloads"][0].update(canary={"endpoint": "nobody", "percent": 1}),
            "there is no endpoint `nobody`",
        ),
        (lambda d: canary(d, percent=-1), "greater than or equal to 0"),
        (lambda d: canary(d, percent=100), "less than or equal to 99"),
    ],
)
def test_a_canary_unlike_its_primary_is_refused(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


RELEASER = "ssh-ed25519 " + "a" * 68 + " ann"


def release(data: dict[str, Any], canary_fields: dict[str, Any] | None = None, **gateway: Any) -> None:
    """People move the canary in steps."""
    canary(data, percent=0)
    fields = {"release": "chat-v2", "steps": [1, 5, 100], **(canary_fields or {})}
    data["gateways"][1]["workloads"][0]["canary"].update(fields)
    database = {
        **{"host": "pg.fra1.bank.example", "address": "10.40.0.21", "port": 5432},
        **{"name": "isthmus", "user": "gateway"},
    }
    data["gateways"][1].update({"database": database, "releasers": [RELEASER], **gateway})


def test_one_more_person_who_may_release_decides_and_one_less_does_not() -> None:
    assert decides("gateways.releasers", [RELEASER], [RELEASER, "another"])
    assert not decides("gateways.releasers", [RELEASER, "another"], [RELEASER])


def test_a_release_in_steps_is_accepted() -> None:
    platform = parse(changed(release))
    [workload] = platform.gateways[1].workloads
    assert workload.canary is not None
    assert (workload.canary.steps, workload.canary.share) == ([1, 5, 100], "up to 100 %")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: release(d, {"steps": [5, 1]}), "step 1 comes after 5, but steps ascend"),
        (lambda d: release(d, {"steps": [5, 5]}), "step 5 comes after 5, but steps ascend"),
        (lambda d: release(d, {"steps": [0, 5]}), "greater than 0"),
        (lambda d: release(d, {"steps": [5, 101]}), "less than or equal to 100"),
        (lambda d: release(d, {"percent": 5}), "percent is 5, but a release with steps begins at 0"),
        (lambda d: release(d, {"release": None}), "steps need a `release`"),
        (lambda d: release(d, database=None), "has no database, where people move the release of kyc"),
        (lambda d: release(d, releasers=[]), "knows nobody who may move the release of kyc"),
        (lambda d: release(d, releasers=["ssh-rsa AAAA ann"]), "an Ed25519 public key"),
        (lambda d: release(d, router=ROUTER), "a router splits the requests of kyc"),
    ],
)
def test_a_release_that_nobody_could_move_is_refused(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


def test_a_canary_of_another_class_is_refused() -> None:
    def across(data: dict[str, Any]) -> None:
        data["gateways"][1]["workloads"][0]["canary"] = {"endpoint": "restricted-llama-70b", "percent": 1}

    assert "the confidential gateway sends workload kyc to e" in refused(Refused, across)


def test_a_canary_outside_its_workloads_residency_is_refused() -> None:
    def abroad(data: dict[str, Any]) -> None:
        data["gateways"][1]["workloads"][0]["residency"] = ["fr"]

    assert "outside its residency" in refused(Refused, combined(canary, abroad))


def test_a_bedrock_model_cannot_be_a_canary() -> None:
    def cloud(data: dict[str, Any]) -> None:
        data["gateways"][2]["workloads"][0]["canary"] = {"endpoint": "more-haiku", "percent": 1}
        data["endpoints"].append({**data["endpoints"][2], "id": "more-haiku"})

    assert "both must be model servers" in refused(InputError, cloud)


def develop(data: dict[str, Any], **more: Any) -> None:
    """A small model on CPUs, beside the pools."""
    data["images"]["vllm_cpu"] = data["images"]["vllm"].replace("vllm", "vllm-cpu")
    data["endpoints"].append(
        {
            **{"id": "internal-tiny", "class": "internal", "site": "fra1", "target": "onprem-vllm"},
            **{
                "model": "Qwen/Qwen3-0.6B",
                "engine": "cpu",
                "weights": {"uri": "pvc://tiny", "digest": S3["digest"]},
            },
            **more,
        }
    )


def test_an_engine_on_cpus_needs_no_pool() -> None:
    assert parse(changed(develop))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: develop(d, pool="l40s"), "`pool` is l40s"),
        (lambda d: develop(d, gpus=1), "`gpus` is 1"),
        (lambda d: develop(d, tensor_parallel=2), "`tensor_parallel` is 2"),
        (lambda d: develop(d, survive="node"), "`survive` is node"),
        (lambda d: develop(d, weights=None), "endpoint internal-tiny has no weights"),
        (
            combined(develop, lambda d: d["images"].pop("vllm_cpu")),
            "`images` has no vllm_cpu, which endpoint internal-tiny needs",
        ),
        (
            endpoint_change(2, engine="cpu"),
            "endpoint internal-haiku has `engine: cpu`, which target bedrock does",
        ),
    ],
)
def test_settings_that_cpus_cannot_run_are_refused(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


@pytest.mark.parametrize("class_", ["confidential", "restricted"])
def test_a_development_engine_is_refused_for_sensitive_work(class_: str) -> None:
    change = lambda data: develop(data, **{"class": class_})  # noqa: E731
    assert "endpoint internal-tiny has `engine: cpu`, which is not allowed for" in refused(Refused, change)


def test_the_cpu_engine_image_comes_from_a_named_registry() -> None:
    def foreign(data: dict[str, Any]) -> None:
        develop(data)
        data["images"]["vllm_cpu"] = "docker.io/vllm/cpu@" + S3["digest"]

    assert "the image" in refused(Refused, foreign)


ROUTER = {
    **{"gateway_class": "istio", "service": "confidential-router-istio", "ca": "internal-ca"},
    **{"control_namespace": "istio-system", "control_port": 15012},
}
PICKER = {"service": "llama-picker", "labels": {"app": "llama-picker"}}


def route(index: int) -> Change:
    return lambda data: data["gateways"][index].update(router=ROUTER)


@pytest.mark.parametrize(
    "change", [route(1), combined(route(1), endpoint_change(1, picker=PICKER)), combined(canary, route(1))]
)
def test_a_router_behind_a_gateway_is_accepted(change: Change) -> None:
    assert parse(changed(change))


def test_a_router_for_restricted_requests_is_refused() -> None:
    assert "a router would decrypt restricted requests, which only Isthmus's own" in refused(
        Refused, route(0)
    )


def test_versions_behind_a_router_must_share_one_model_name() -> None:
    def plain(data: dict[str, Any]) -> None:
        data["gateways"][1]["workloads"][0].pop("adapter")

    message = refused(InputError, combined(canary, plain, route(1)))
    assert "endpoints of workload kyc behind a router have different " in message


def test_an_unused_picker_is_refused() -> None:
    assert "endpoint confidential-llama-8b has a picker, but the gateway of class" in refused(
        InputError, endpoint_change(1, picker=PICKER)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            endpoint_change(1, speculative={"method": "eagle", "tokens": 4}),
            "speculative method `eagle` needs `path`, the path of its weights",
        ),
        (
            endpoint_change(1, speculative={"method": "ngram", "tokens": 4, "path": "x"}),
            "no weights of its own",
        ),
        (endpoint_change(1, speculative={"method": "guess", "tokens": 4}), "ngram"),
        (endpoint_change(1, speculative={"method": "ngram", "tokens": 0}), "greater than or equal to 1"),
        (
            endpoint_change(1, speculative={"method": "ngram", "tokens": 2}, task="rerank"),
            "task rerank of confidential-llama-8b does not support speculative",
        ),
        (
            endpoint_change(
                1, speculative={"method": "ngram", "tokens": 2}, engine_args=["--speculative-config={}"]
            ),
            "engine_args has `--speculative-config`, but `speculative` is set too",
        ),
        (
            endpoint_change(
                1,
                speculative={"method": "mtp", "tokens": 2},
                nodes_per_replica=2,
                replicas=2,
                gpus=4,
                survive="none",
            ),
            "vLLM supports speculative decoding on one node only (no pipeline",
        ),
        (
            endpoint_change(1, task="embedding", prefix_cache="salted"),
            "task embedding does not support `prefix_cache: salted`",
        ),
        (endpoint_change(2, task="embedding"), "runs on bedrock"),
        (endpoint_change(2, prefix_cache="salted"), "runs on bedrock"),
        (endpoint_change(1, drain_s=4), "greater than or equal to 5"),
    ],
)
def test_settings_that_an_engine_cannot_run_are_refused(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


@pytest.mark.parametrize(
    ("place", "storage_class", "weights_cache", "is_allowed"),
    [
        ("pod", None, None, True),
        ("node", None, {"node_path": "/var/models"}, True),
        ("node", "fast", {"node_path": None}, False),
        ("node", "fast", None, False),
        ("volume", "fast", None, True),
        ("volume", None, {"storage_class": "fast"}, True),
        ("volume", None, {"storage_class": None}, False),
        ("volume", None, None, False),
    ],
)
def test_a_compile_cache_on_nodes_needs_their_folder_and_on_a_volume_a_storage_class(
    place: str, storage_class: str | None, weights_cache: dict[str, Any] | None, is_allowed: bool
) -> None:
    cache = {"node_path": None, "storage_class": None, **weights_cache} if weights_cache else None
    endpoint = Endpoint.model_construct(
        id="llama",
        target="onprem-vllm",
        compile_cache=CompileCache.model_construct(place=place, storage_class=storage_class),
        weights=Weights.model_construct(cache=WeightCache.model_construct(**cache) if cache else None),
    )
    try:
        compile_caches_have_storage(platform_with(endpoints=[endpoint]))
    except FieldError:
        assert not is_allowed
    else:
        assert is_allowed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: shadow(d, release=None), "shadow_percent needs release"),
        (lambda d: shadow(d, shadow_percent=101), "less than or equal to 100"),
        (
            combined(shadow, lambda d: d["gateways"][1].pop("database")),
            "has a shadow, but gateway confidential-fra1 has no database",
        ),
        (combined(shadow, route(1)), "has a shadow, but behind a router no copies are sent"),
        (combined(shadow, by_token), "is billed by the token, and each copy would be billed"),
    ],
)
def test_a_shadow_that_nobody_could_judge_or_pay_is_refused(change: Change, message: str) -> None:
    assert message in refused(InputError, change)


def high_impact(data: dict[str, Any], *releasers: str) -> None:
    """A release in steps of a workload whose answers have high impact."""
    canary(data, 0)
    gateway = data["gateways"][1]
    gateway |= {"database": DATABASE, "releasers": list(releasers)}
    gateway["workloads"][0]["canary"] |= {"release": "v2", "steps": [1, 100]}
    gateway["workloads"][0]["impact"] = "high"


def key_of(letter: str) -> str:
    return f"ssh-ed25519 {letter * 68} {letter}"


def test_a_release_of_high_impact_needs_two_who_may_release() -> None:
    for releasers in ([key_of("a")], [key_of("a"), f"{key_of('a')} again"]):
        assert "so two people make a move" in refused(
            InputError, lambda d, releasers=releasers: high_impact(d, *releasers)
        )


@pytest.mark.parametrize(
    ("begin", "end", "message"),
    [
        ("2026-12-20T00:00:00", "2027-01-04T00:00:00+01:00", "has no time zone"),
        ("2027-01-04T00:00:00Z", "2026-12-20T00:00:00Z", "it ends before it begins"),
    ],
)
def test_a_freeze_has_a_time_zone_and_ends_after_it_begins(begin: str, end: str, message: str) -> None:
    freezes = [{"begin": begin, "end": end}]
    assert message in refused(InputError, lambda d: d["gateways"][1].update(release_freezes=freezes))


def judged(data: dict[str, Any], name: str = "checks", **more: Any) -> None:
    """Answers of both versions are judged by another workload of the gateway."""
    shadow(data)
    judge = {"id": "confidential-judge", "model": "Qwen/Qwen3-32B", "adapters": []}
    data["endpoints"].append({**SECOND, **judge, **more})
    data["gateways"][1]["workloads"].append({"name": "checks", "endpoint": "confidential-judge"})
    rule = {"workload": name, "rubric": "A right answer names the policy."}
    data["gateways"][1]["workloads"][0]["canary"]["judge"] = rule


@pytest.mark.parametrize(
    ("error", "change", "message"),
    [
        (InputError, lambda d: judged(d, "nobody"), "the platform has no workload of this name"),
        (
            Refused,
            lambda d: judged(d, "transaction-narratives"),
            "it is restricted at fra1, but confidential",
        ),
        (InputError, lambda d: judged(d, model=SECOND["model"]), "would judge its own answers"),
        (InputError, lambda d: judged(d, task="embedding"), "both must chat"),
        (
            InputError,
            combined(
                judged,
                lambda d: d["gateways"][1]["workloads"][0]["canary"].pop("shadow_percent"),
                lambda d: d["gateways"][1]["workloads"][0]["canary"].pop("release"),
            ),
            "judge needs release",
        ),
    ],
)
def test_a_judge_of_another_class_or_of_its_own_answers_is_refused(
    error: type[Exception], change: Change, message: str
) -> None:
    assert message in refused(error, change)


def test_a_judge_of_the_same_gateway_is_accepted() -> None:
    stated = parse(changed(judged)).gateways[1].workloads[0].canary
    assert stated is not None
    assert stated.judge is not None
    assert (stated.judge.workload, stated.judge.percent, stated.judge.per_day) == ("checks", 10, 1000)


@pytest.mark.parametrize("change", [shadow, combined(lambda d: shadow(d, shadow_by_token=True), by_token)])
def test_a_shadow_is_accepted(change: Change) -> None:
    stated = parse(changed(change)).gateways[1].workloads[0].canary
    assert stated is not None
    assert stated.shadow_percent == 10
