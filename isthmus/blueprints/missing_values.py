"""What only the organisation can say: values that no blueprint makes up, and where to put them.

A registry, weights, machines whose GPUs are cut, issuers, authority, monitoring, the on-prem audit store, models that
find names in what leaves a site, secrets of gateways on Fargate, contacts and the amounts of budgets come from the
stack's overrides. All that are missing are named in one error.
"""

from __future__ import annotations

import re
from typing import Any

from isthmus.blueprints import image_digests
from isthmus.contracts.platform.model.screening import ENGLISH_MODEL, as_yaml
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import PRECISIONS_MADE_WHILE_LOADING, SENSITIVITIES, VLLM_TARGETS
from isthmus.core.errors import InputError

_DIGEST = "sha256:<64 hex digits>"
_NAMES = as_yaml(ENGLISH_MODEL)
"""The model in the detector's image, which finds English names; a test holds it to what the edge trusts."""


def require(platform: dict[str, Any], where: str) -> None:
    """Raise `InputError` naming each override that is missing, with an example. `platform` is merged, not
    yet validated: a part of a wrong kind is left for validation to name."""
    left = wanted(platform)
    if not left:
        return
    count = (
        "a value that only you know is" if len(left) == 1 else f"{len(left)} values that only you know are"
    )
    listed = "; ".join(f"`{path}`, e.g. `{example}`" for path, example in left)
    raise InputError(
        f"{count} missing: {listed}",
        where=where,
        fix="Add them under `isthmus:overrides`; see docs/stacks.md",
    )


Missing = list[tuple[str, str]]
"""Path of an override and an example of it, as YAML."""


def wanted(platform: dict[str, Any]) -> Missing:
    """Every value that is still to be given, in the order in which a person would look for them."""
    found = [*_images(platform), *_issuer(platform), *_monitoring(platform), *_weights(platform)]
    found += [*_machines(platform), *_clusters(platform), *_audit(platform), *_trust(platform)]
    return [*found, *_screening(platform), *_fargate(platform), *_reviews(platform), *_money(platform)]


def _images(platform: dict[str, Any]) -> Missing:
    """With a registry the lock gives what is not given (`locked.fill`), and admission lets that registry in."""
    images = _mapping(platform.get("images"))
    missing: Missing = []
    if not images.get("registry") and not all(
        images.get(name) for name in (*image_digests.needed(platform), "registries")
    ):
        # Tasks of Fargate, and nodes without a link to a site, reach Amazon ECR and no other registry.
        linked = {link.get("to") for link in _parts(platform, "links")}
        clusters = [cluster for cluster in _parts(platform, "clusters") if cluster.get("site") not in linked]
        inside = next(iter([*_on_fargate(platform), *clusters]), None)
        account, region = _place(platform, inside) if inside is not None else ("", "")
        ecr = f"{account}.dkr.ecr.{region}.amazonaws.com/llm"
        missing.append(("images.registry", ecr if inside is not None else "registry.example"))
    hosted = [e for e in _parts(platform, "endpoints") if e.get("target") == "sagemaker"]
    if hosted and not images.get("sagemaker"):
        # SageMaker pulls from Amazon ECR alone, so no registry of the organisation's can give it.
        missing.append(("images.sagemaker", f"<account>.dkr.ecr.<region>.amazonaws.com/vllm@{_DIGEST}"))
    return missing


def _issuer(platform: dict[str, Any]) -> Missing:
    """Needed as long as one server has no Secret of its own with a certificate."""
    served = [e for e in _parts(platform, "endpoints") if e.get("target") in VLLM_TARGETS]
    gates = [one for one in _parts(platform, "gateways") if one.get("runs_on") != "fargate"]
    desks = [_mapping(one["reviews"]) for one in gates if one.get("reviews")]
    bare = [one for one in (*served, *gates, *desks) if not one.get("certificate_secret")]
    issuer = _mapping(platform.get("issuer"))
    return [("issuer.name", "internal-ca")] if bare and not issuer.get("name") else []


def _monitoring(platform: dict[str, Any]) -> Missing:
    monitoring = _mapping(platform.get("monitoring"))
    in_clusters = any(one.get("runs_on") != "fargate" for one in _parts(platform, "gateways"))
    return [] if monitoring.get("namespace") or not in_clusters else [("monitoring.namespace", "monitoring")]


def _weights(platform: dict[str, Any]) -> Missing:
    missing: Missing = []
    for endpoint in _parts(platform, "endpoints"):
        if endpoint.get("target") not in (*VLLM_TARGETS, "sagemaker"):
            continue
        name = endpoint.get("id")
        hosted = endpoint.get("target") == "sagemaker"
        weights = _mapping(endpoint.get("weights"))
        if not weights.get("uri"):
            claim = _claim(endpoint, platform)
            missing.append(
                (f"endpoints[{name}].weights.uri", f"s3://weights/{claim}/" if hosted else f"pvc://{claim}")
            )
        if not weights.get("digest"):
            missing.append((f"endpoints[{name}].weights.digest", _DIGEST))
        precision = endpoint.get("precision")
        if not weights.get("precision") and precision not in (None, "bf16", *PRECISIONS_MADE_WHILE_LOADING):
            missing.append((f"endpoints[{name}].weights.precision", str(precision)))
    return missing


def _machines(platform: dict[str, Any]) -> Missing:
    """MIG manager cuts the GPUs of a machine by its own label, so the machines have names."""
    return [
        (f"pools[{pool.get('name')}].node_names", "[gpu-node-1, gpu-node-2]")
        for pool in _parts(platform, "pools")
        if pool.get("mig") and not pool.get("node_names")
    ]


def _clusters(platform: dict[str, Any]) -> Missing:
    """Which Kubernetes a cluster in AWS is of, and who administers it."""
    managed = [one for one in _parts(platform, "clusters") if one.get("mode", "manage") == "manage"]
    role = "{name: platform, principal: arn:aws:iam::123456789012:role/platform}"
    return [
        (f"clusters[{one.get('name')}].{key}", example)
        for one in managed
        for key, example in (("version", '"1.36"'), ("admins", f"[{role}]"))
        if not one.get(key)
    ]


def _claim(endpoint: dict[str, Any], platform: dict[str, Any]) -> str:
    """After the model, not the endpoint: what a later plan serves it by claims the same (docs/stacks.md). With its
    owner where two owners' models bear one name."""
    model = str(endpoint.get("model") or endpoint.get("id"))
    tail = model.rpartition("/")[2]
    others = {str(one.get("model")) for one in _parts(platform, "endpoints")} - {model}
    shared = any(other.rpartition("/")[2] == tail for other in others)
    return re.sub(r"[^a-z0-9]+", "-", (model if shared else tail).lower()).strip("-")


def _audit(platform: dict[str, Any]) -> Missing:
    on_prem = {site.get("name") for site in _parts(platform, "sites") if site.get("kind") == "on-prem"}
    missing: Missing = []
    for store in _parts(platform, "audit"):
        if store.get("site") not in on_prem or store.get("mode") != "existing":
            continue
        name = store.get("name")
        if not store.get("endpoint"):
            missing.append((f"audit[{name}].endpoint", "https://s3.site.example"))
        if not store.get("bucket"):
            missing.append((f"audit[{name}].bucket", "isthmus-audit"))
        if not store.get("address"):
            missing.append((f"audit[{name}].address", _inside(platform, store)))
    return missing


def _inside(platform: dict[str, Any], part: dict[str, Any], last: int = 9) -> str:
    """An address of the part's site, for an example."""
    site = next((one for one in _parts(platform, "sites") if one.get("name") == part.get("site")), {})
    cidrs = site.get("cidrs")
    start = str(cidrs[0]).rpartition("/")[0] if isinstance(cidrs, list) and cidrs else "10.40.0.0"
    return f"{start.rpartition('.')[0]}.{last}"


def _screening(platform: dict[str, Any]) -> Missing:
    """By which models names are found in prompts that leave their gateway's site."""
    at = {endpoint.get("id"): endpoint.get("site") for endpoint in _parts(platform, "endpoints")}
    missing: Missing = []
    for gateway in _parts(platform, "gateways"):
        class_ = gateway.get("class")
        demanded = [*(handling.handling_of(class_).redacted if class_ in SENSITIVITIES else ())]
        demanded += gateway.get("redacted") or []
        if gateway.get("runs_on") == "fargate" or "prompts-leaving-site" not in demanded:
            continue
        reached = [each for workload in _parts(gateway, "workloads") for each in _reached(workload)]
        away = any(at.get(each, gateway.get("site")) != gateway.get("site") for each in reached)
        if away and not _mapping(gateway.get("screening")).get("models"):
            missing.append((f"gateways[{gateway.get('name')}].screening.models", f"[{_NAMES}]"))
    return missing


def _reached(workload: dict[str, Any]) -> list[Any]:
    canary = _mapping(workload.get("canary")).get("endpoint")
    others = [workload.get(key) for key in ("also", "overflow")]
    return [
        workload.get("endpoint"),
        canary,
        *(each for one in others if isinstance(one, list) for each in one),
    ]


def _trust(platform: dict[str, Any]) -> Missing:
    """The authority that AWS is to believe, and who signs."""
    missing: Missing = []
    identities = _parts(platform, "identities")
    for trust in _parts(platform, "trust"):
        name = trust.get("name")
        mine = [one for one in identities if one.get("trust") == name]
        if trust.get("mode") == "manage" and not trust.get("ca_certificates") and not trust.get("acm_pca"):
            missing.append((f"trust[{name}].ca_certificates", "-----BEGIN CERTIFICATE----- …"))
        if any(not one.get("certificate_secret") for one in mine) and not trust.get("issuer"):
            missing.append((f"trust[{name}].issuer.name", "llm-identities"))
    return missing


def _on_fargate(platform: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in _parts(platform, "gateways") if one.get("runs_on") == "fargate"]


def _place(platform: dict[str, Any], part: dict[str, Any]) -> tuple[str, str]:
    """Account and region of the site of a gateway or a cluster, for examples."""
    site = next((one for one in _parts(platform, "sites") if one.get("name") == part.get("site")), {})
    return str(site.get("account_id") or "123456789012"), str(site.get("region") or "eu-central-1")


def _fargate(platform: dict[str, Any]) -> Missing:
    """Who may call, and by which certificates: secrets of Secrets Manager, by ARN."""
    missing: Missing = []
    for gateway in _on_fargate(platform):
        account, region = _place(platform, gateway)
        name, held = gateway.get("name"), gateway.get("class")
        settings = _mapping(gateway.get("fargate"))
        for key, there, what in (
            ("certificate_secret", gateway, "gateway-tls-a1B2c3"),
            ("callers_secret", gateway, "callers-a1B2c3"),
            ("fargate.translator_secret", settings, "translator-tls-a1B2c3"),
            ("audit.secret", _mapping(gateway.get("audit")), "audit-a1B2c3"),
            ("audit.sealer_secret", _mapping(gateway.get("audit")), "sealer-a1B2c3"),
        ):
            if not there.get(key.rpartition(".")[2]):
                arn = f"arn:aws:secretsmanager:{region}:{account}:secret:llm/{held}-{what}"
                missing.append((f"gateways[{name}].{key}", arn))
    return missing


def _reviews(platform: dict[str, Any]) -> Missing:
    """Where held answers are, who reaches them, and in AWS, where none are held, who looks at answers instead."""
    missing: Missing = []
    for gateway in _parts(platform, "gateways"):
        name, held = gateway.get("name"), gateway.get("class")
        if gateway.get("reviews"):
            if any(one.get("reviewed_by") for one in _parts(gateway, "workloads")):
                continue  # one of the two goes: validation says which may
            database, reviews = _mapping(gateway.get("database")), _mapping(gateway.get("reviews"))
            if not database.get("host"):
                missing.append((f"gateways[{name}].database.host", f"postgres-{held}.site.example"))
            if not database.get("address"):
                missing.append((f"gateways[{name}].database.address", _inside(platform, gateway, 20)))
            if not reviews.get("from_cidrs") and not reviews.get("from_namespaces"):
                missing.append((f"gateways[{name}].reviews.from_namespaces", "[reviewers]"))
            continue
        sites = [one for one in _parts(platform, "sites") if one.get("name") == gateway.get("site")]
        if any(one.get("kind") != "aws" for one in sites):
            continue
        for workload in _parts(gateway, "workloads"):
            asks = workload.get("review") or workload.get("impact") == "material"
            if asks and workload.get("impact") != "high" and not workload.get("reviewed_by"):
                missing.append(
                    (f"gateways[{name}].workloads[{workload.get('name')}].reviewed_by", "claims-desk")
                )
    return missing


def _money(platform: dict[str, Any]) -> Missing:
    """Budgets have amounts; somebody is told."""
    budgets = _parts(platform, "budgets")
    missing: Missing = [
        (f"budgets[{budget.get('name')}].monthly_usd", "500")
        for budget in budgets
        if budget.get("monthly_usd") is None
    ]
    contacts = _mapping(platform.get("contacts"))
    if budgets and not contacts.get("cost"):
        missing.append(("contacts.cost", "[llm-cost@bank.example]"))
    trails = [one for one in _parts(platform, "trails") if one.get("mode") == "manage"]
    if trails and not contacts.get("security"):
        missing.append(("contacts.security", "[soc@bank.example]"))
    return missing


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _parts(platform: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = platform.get(key)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
