"""Checks of a whole platform, whether it comes from a blueprint, a plan or an override."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.contracts.platform.checked import CheckedPlatform
from isthmus.contracts.platform.lookups import mig as platform_mig
from isthmus.contracts.platform.model.dns import ClusterDns, DnsPeer
from isthmus.contracts.platform.model.platform import Platform
from isthmus.contracts.platform.model.sites import PodPriorities
from isthmus.core import yaml_documents, yaml_files
from isthmus.core.errors import InputError, Refused
from tests.contracts.bank import DIGEST, HAIKU, platform_data, screening

Change = Callable[[dict[str, Any]], object]


def parse(data: dict[str, Any]) -> Platform:
    return yaml_files.parse(CheckedPlatform, yaml_documents.Document(data, "platform"))


def refused(
    kind: type[Exception], change: Change, make_data: Callable[[], dict[str, Any]] = platform_data
) -> str:
    """With which words the platform `of()`, changed so, is refused."""
    data = make_data()
    change(data)
    with pytest.raises(kind) as caught:
        parse(data)
    return str(caught.value)


def test_the_banks_platform_is_valid():
    assert parse(platform_data()).name == "bank"


def test_one_run_reports_every_broken_rule():
    def change(data: dict[str, Any]) -> None:
        data["links"][0]["site_asn"] = None
        data["networks"][0]["cidr"] = None
        data["endpoints"][0]["gpus"] = 3

    message = refused(InputError, change)
    assert "endpoints[restricted-llama-70b].gpus: gpus is 3" in message
    assert "has no site_asn" in message
    assert "has no cidr" in message


def test_a_managed_link_from_an_unknown_site_is_one_refusal_although_its_sources_cannot_be_looked_up():
    def change(data: dict[str, Any]) -> None:
        data["links"][0].update({"from": "nowhere", "mode": "manage", "sources": ["10.40.0.0/24"]})
        data["links"][0]["resolvers"] = "off"

    lines = refused(InputError, change).splitlines()
    assert lines[0].startswith("platform links[fra1-frankfurt].from: there is no on-prem site `nowhere`")


def test_a_name_that_does_not_exist_ends_the_check_as_other_rules_look_it_up():
    def change(data: dict[str, Any]) -> None:
        data["links"][0]["site_asn"] = None
        data["endpoints"][0]["site"] = "nowhere"

    assert len(refused(InputError, change).splitlines()) == 1


def endpoint(data: dict[str, Any], index: int) -> dict[str, Any]:
    return data["endpoints"][index]


def gateway(data: dict[str, Any], index: int) -> dict[str, Any]:
    return data["gateways"][index]


def ways_out(cidr: str) -> list[dict[str, Any]]:
    return [{"name": "out", "cidr": cidr, "port": 443}]


@pytest.mark.parametrize("target", ["bedrock", "sagemaker", "eks-vllm"])
def test_restricted_work_runs_on_no_cloud_target(target: str):
    message = refused(Refused, lambda d: endpoint(d, 0).update(target=target))
    assert f"restricted work may not run on {target}" in message
    assert message.startswith("platform endpoints[restricted-llama-70b].target")


def test_confidential_work_on_bedrock_needs_a_valid_recorded_exception():
    def on_bedrock(data: dict[str, Any]) -> None:
        data["endpoints"][1] = {**endpoint(data, 2), "id": "confidential-haiku", "class": "confidential"}
        gateway(data, 1)["workloads"] = [{"name": "kyc", "endpoint": "confidential-haiku"}]
        gateway(data, 1).update(identity="confidential-frankfurt", screening=screening())
        data["identities"].append(
            {
                "name": "confidential-frankfurt",
                "class": "confidential",
                "site": "frankfurt",
                "endpoints": ["confidential-haiku"],
                "trust": "frankfurt",
            }
        )
        for part in ("networks", "links"):
            data[part][0]["classes"].append("confidential")

    assert "endpoint confidential-haiku: confidential work may run on bedrock by a" in refused(
        Refused, on_bedrock
    )
    data = platform_data()
    on_bedrock(data)
    exception = {"workload": "kyc", "target": "bedrock", "who": "CISO", "reason": "pilot"}
    data["exceptions"] = [{**exception, "until": "2999-12-31"}]
    assert parse(data).exceptions[0].who == "CISO"
    data["exceptions"] = [{**exception, "until": "2020-01-01"}]
    with pytest.raises(Refused, match="is valid on"):
        parse(data)


def test_a_restricted_gateway_has_no_aws_identity():
    message = refused(Refused, lambda d: gateway(d, 0).update(identity="internal-frankfurt"))
    assert "has an AWS identity" in message


def test_an_identity_for_a_class_that_may_not_use_aws_is_refused():
    def identity(data: dict[str, Any]) -> None:
        data["identities"].append(
            {"name": "x", "class": "restricted", "site": "frankfurt", "endpoints": ["restricted-llama-70b"]}
        )

    assert "which may not use AWS" in refused(Refused, identity)


def test_a_confidential_gateway_without_a_cloud_model_has_no_identity():
    def identity(data: dict[str, Any]) -> None:
        data["identities"].append(
            {"name": "c", "class": "confidential", "site": "frankfurt", "endpoints": []}
        )
        gateway(data, 1)["identity"] = "c"

    assert "no model in AWS" in refused(Refused, identity)


@pytest.mark.parametrize("cidr", ["10.80.0.0/24", "0.0.0.0/0", "10.0.0.0/8"])
def test_a_restricted_gateway_reaches_on_prem_addresses_only(cidr: str):
    message = refused(Refused, lambda d: gateway(d, 0).update(destinations=ways_out(cidr)))
    assert f"could reach `{cidr}`, which is outside the on-prem sites' networks" in message


def test_a_restricted_gateway_may_name_a_subnet_of_its_site():
    data = platform_data()
    gateway(data, 0)["destinations"] = ways_out("10.40.7.0/24")
    assert parse(data).gateways[0].destinations[0].port == 443


def test_a_confidential_gateway_reaches_the_sites_networks_only():
    message = refused(Refused, lambda d: gateway(d, 1).update(destinations=ways_out("52.1.0.0/16")))
    assert "outside the sites' own networks" in message


def test_a_gateway_may_only_route_to_endpoints_of_its_class():
    message = refused(Refused, lambda d: gateway(d, 0)["workloads"][0].update(endpoint="internal-haiku"))
    assert "the restricted gateway sends workload " in message
    message = refused(Refused, lambda d: gateway(d, 0)["workloads"][0].update(overflow=["internal-haiku"]))
    assert "the restricted gateway sends workload " in message


def test_a_profile_that_leaves_the_residency_is_refused():
    message = refused(Refused, lambda d: gateway(d, 2)["workloads"][0].update(residency=["de"]))
    assert "could reach eu-north-1 in `se`, outside its residency (de)" in message


def test_a_global_profile_is_refused():
    message = refused(Refused, lambda d: endpoint(d, 2).update(inference_profile=f"global.{HAIKU}"))
    assert "every commercial region" in message


@pytest.mark.parametrize("name", ["edge", "translator", "vllm", "credential_helper", "resolver"])
def test_an_image_from_an_unnamed_registry_is_refused(name: str):
    image = f"docker.io/somebody/{name}@{DIGEST}"
    message = refused(Refused, lambda d: d["images"].update({name: image}))
    assert "the image" in message
    assert message.startswith(f"platform images.{name}")


def test_records_are_kept_as_long_as_the_strictest_class_demands():
    message = refused(Refused, lambda d: d["audit"][0].update(retention_days=400))
    assert "the audit store at fra1 keeps records for 400 days, but class" in message
    assert "the audit store of fra1 is off, but every class must keep records" in refused(
        Refused, lambda d: d["audit"][0].update(mode="off")
    )


def slices(data: dict[str, Any], **change: Any) -> None:
    """The first endpoint on four slices over two domains, each machine of its pool by name."""
    sliced = {"tensor_parallel": 1, "replicas": 4, "gpus": 4, "mig_profile": "3g.40gb"}
    endpoint(data, 0).update({**sliced, **change})
    data["pools"][0].update(
        mig=[{"class": "restricted", "profile": "3g.40gb", "gpus": 2}], node_names=["gpu-a", "gpu-b"]
    )


def test_an_endpoint_may_run_on_mig_slices():
    data = platform_data()
    slices(data)
    checked = parse(data)
    assert platform_mig.layout(checked, checked.pools[0]) == [
        {"restricted-llama-70b": 1},
        {"restricted-llama-70b": 1},
    ]


def another_class(data: dict[str, Any]) -> None:
    """Two classes on slices of one profile, and one machine to cut."""
    slices(data, survive="none")
    endpoint(data, 1).update(
        tensor_parallel=1, replicas=2, gpus=2, survive="none", pool="h100", mig_profile="3g.40gb"
    )
    data["pools"][0].update(nodes=1, failure_domains=1, node_names=["gpu-a"])
    data["pools"][0]["mig"].append({"class": "confidential", "profile": "3g.40gb", "gpus": 1})


WRONG: list[tuple[str, Change]] = [
    ("has no MIG profile `3g.20gb`", lambda d: slices(d, mig_profile="3g.20gb")),
    ("a MIG profile like `3g.40gb`", lambda d: slices(d, mig_profile="half")),
    (
        "a replica on MIG slices uses exactly one slice",
        lambda d: slices(d, tensor_parallel=2),
    ),
    (
        "a replica on MIG slices uses exactly one slice",
        lambda d: slices(d, nodes_per_replica=2),
    ),
    ("`surge` is not possible on MIG slices, because a pool reserves whole", lambda d: slices(d, surge=True)),
    ("restricted-llama-70b must survive the loss of a domain, so it need", lambda d: slices(d, replicas=5)),
    (
        "pool h100 cuts 2 GPU(s) into 3g.40gb for class restricted, but its",
        lambda d: slices(d, replicas=6, gpus=6),
    ),
    (
        "pool h100 cuts 0 GPU(s) into 3g.40gb for class restricted, but its",
        lambda d: (slices(d), d["pools"][0].update(mig=[])),
    ),
    (
        "pool h100 cuts 1 GPU(s) into 1g.10gb for class public, but its",
        lambda d: d["pools"][0].update(mig=[{"class": "public", "profile": "1g.10gb", "gpus": 1}]),
    ),
    ("pool h100 has `mig`, but no node_names", lambda d: (slices(d), d["pools"][0].update(node_names=[]))),
    ("cannot be cut so that all its endpoints fit", another_class),
    ("`fra1` appears twice in sites (sites[0] and sites[2])", lambda d: d["sites"].append(d["sites"][0])),
    (
        "`restricted-llama-70b` appears twice in endpoints (endpoints[0] and endpoints[3])",
        lambda d: d["endpoints"].append(d["endpoints"][0]),
    ),
    ("two gateways for class internal", lambda d: d["gateways"].append({**d["gateways"][2], "name": "b"})),
    ("Did you mean `fra1`", lambda d: endpoint(d, 0).update(site="fra")),
    ("there is no pool `h10`", lambda d: endpoint(d, 0).update(pool="h10")),
    ("endpoint restricted-llama-70b has no pool", lambda d: endpoint(d, 0).update(pool=None)),
    ("endpoint restricted-llama-70b has no weights", lambda d: endpoint(d, 0).update(weights=None)),
    ("has 8 GPUs", lambda d: endpoint(d, 0).update(tensor_parallel=16)),
    ("has one replica", lambda d: endpoint(d, 0).update(replicas=1)),
    (
        "nodes_per_replica is 3, but pool h100 has 2 nodes",
        lambda d: endpoint(d, 0).update(nodes_per_replica=3),
    ),
    (
        "nodes_per_replica is 2, but a failure domain of pool h100 has 1 nodes",
        lambda d: endpoint(d, 0).update(nodes_per_replica=2),
    ),
    (
        "two replicas of confidential-llama-8b on different nodes need 4",
        lambda d: endpoint(d, 1).update(nodes_per_replica=2),
    ),
    ("do not fit pool h100 (20 GPUs of 16", lambda d: endpoint(d, 0).update(replicas=5)),
    ("do not fit pool h100", lambda d: d["pools"][0].update(reserved_gpus=9)),
    (
        "gpus is 8, but tensor_parallel × nodes_per_replica × replicas = 4 × 1",
        lambda d: endpoint(d, 0).update(replicas=3),
    ),
    (
        "surge needs reserved GPUs for one replica, but pool h100 reserves 0",
        lambda d: endpoint(d, 0).update(surge=True),
    ),
    ("has no flag `--max-lora`", lambda d: endpoint(d, 0).update(engine_args=["--max-lora", "1"])),
    (
        "`--host` may not be set in engine_args: vLLM listens on 127.0.0.1",
        lambda d: endpoint(d, 0).update(engine_args=["--host=0.0.0.0"]),
    ),
    ("has no AWS identity", lambda d: gateway(d, 2).update(identity=None)),
    (
        "there is no adapter of endpoint confidential-llama-8b `kyc`",
        lambda d: gateway(d, 1)["workloads"][0].update(adapter="kyc"),
    ),
    (
        "the inference profile `eu.anthropic.claude-haiku-4-5-20251001-v1:0`",
        lambda d: endpoint(d, 2).update(model="anthropic.claude-3"),
    ),
    (
        "the regions of inference profile `us.anthropic.claude-haiku-4-5",
        lambda d: endpoint(d, 2).update(inference_profile=f"us.{HAIKU}"),
    ),
    (
        "destination_regions of internal-haiku differ from the regions",
        lambda d: endpoint(d, 2).update(destination_regions=["us-east-1"]),
    ),
    ("has no audit store", lambda d: d["audit"].pop()),
    ("Isthmus cannot make an on-prem audit store", lambda d: d["audit"][0].update(mode="manage")),
    ("the existing audit store fra1 has no bucket", lambda d: d["audit"][0].pop("bucket")),
    ("gateway restricted-fra1 has neither a certificate issuer nor a", lambda d: d.pop("issuer")),
    ("the on-prem site fra1 has no kube_context", lambda d: d["sites"][0].pop("kube_context")),
    ("does not end in `/`", lambda d: d["images"].update(registries=["registry.bank.example"])),
    ("pool h100 has 2 nodes, but 1 node_names", lambda d: d["pools"][0].update(node_names=["a"])),
    (
        "target onprem-vllm is not possible at frankfurt, which is an aws site",
        lambda d: endpoint(d, 1).update(site="frankfurt"),
    ),
]


@pytest.mark.parametrize(("message", "change"), WRONG)
def test_an_inconsistent_platform_is_invalid_input(message: str, change: Change):
    assert message in refused(InputError, change)


def test_a_volume_that_two_claims_name_is_refused():
    def change(data: dict[str, Any]) -> None:
        endpoint(data, 1)["weights"]["volume"] = "weights"

    message = refused(InputError, change)
    assert "endpoint confidential-llama-8b uses volume weights, which claim" in message
    assert "endpoint confidential-llama-8b uses volume weights, which claim" in message


def test_two_endpoints_of_a_class_may_share_a_claim_but_not_bind_it_to_two_volumes():
    def share(data: dict[str, Any], volume: str) -> None:
        second = copy.deepcopy(endpoint(data, 1))
        second.update(id="confidential-again", replicas=2, gpus=2)
        second["weights"]["volume"] = volume
        data["endpoints"].append(second)

    data = platform_data()
    share(data, "other-weights")
    parse(data)
    assert "claim other-weights of endpoint confidential-again is already bound" in refused(
        InputError, lambda data: share(data, "third")
    )


def test_model_pods_have_a_lower_priority_than_gateways():
    assert PodPriorities(gateway_value=100, model_value=99).model_value == 99
    with pytest.raises(ValidationError, match="model_value 100 is not below gateway_value 100"):
        PodPriorities(gateway_value=100, model_value=100)


def test_a_cluster_has_at_least_one_resolver():
    assert ClusterDns(presets=[], peers=[DnsPeer(name="dns", cidr="10.96.0.10/32")]).resolvers
    assert ClusterDns().resolvers
    with pytest.raises(ValidationError, match="presets and peers are empty"):
        ClusterDns(presets=[], peers=[])
