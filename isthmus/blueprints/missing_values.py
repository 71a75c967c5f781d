"""Lists the values that a stack's overrides must still give, because only the organisation knows them.

Examples are the registry, weights, node names of MIG pools, certificate issuers, the on-prem audit store, secrets of
gateways on Fargate, and contacts. One error lists all missing values, each with an example.
"""

from __future__ import annotations

import re
from typing import Any

from edge.interface_names import STORING
from isthmus.blueprints import image_digests
from isthmus.contracts.platform.model.screening import ENGLISH_MODEL, as_yaml
from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import PRECISIONS_MADE_WHILE_LOADING, SENSITIVITIES, VLLM_TARGETS
from isthmus.core.errors import InputError

_DIGEST = "sha256:<64 hex digits>"
_NAMES_MODEL = as_yaml(ENGLISH_MODEL)
"""The model in the detector's image, which finds English names. A test compares it with the digest that edge trusts."""


def require(platform: dict[str, Any], where: str) -> None:
    """Raise `InputError` that lists each missing override with an example.

    `platform` is merged but not validated. Elements of the wrong type are ignored here; validation reports them.
    """
    missing = list_missing_values(platform)
    if not missing:
        return
    count = (
        "a value that only you know is"
        if len(missing) == 1
        else f"{len(missing)} values that only you know are"
    )
    listed = "; ".join(f"`{path}`, e.g. `{example}`" for path, example in missing)
    raise InputError(
        f"{count} missing: {listed}",
        where=where,
        fix="Add them under `isthmus:overrides`; see docs/stacks.md",
    )


Missing = list[tuple[str, str]]
"""Pairs of the path of an override and an example as YAML."""


def list_missing_values(platform: dict[str, Any]) -> Missing:
    """Every missing value, in the order in which a person would fill them in."""
    missing = [*_images(platform), *_issuer(platform), *_monitoring(platform), *_weights(platform)]
    missing += [*_node_names(platform), *_clusters(platform), *_audit_stores(platform), *_trust(platform)]
    return [
        *missing,
        *_links(platform),
        *_s3_addresses(platform),
        *_screening(platform),
        *_fargate_secrets(platform),
        *_reviews(platform),
        *_stored_requests(platform),
        *_chats(platform),
        *_budgets_and_contacts(platform),
    ]


def _images(platform: dict[str, Any]) -> Missing:
    """The registry, unless the overrides name every image. The lock gives the rest (`image_digests.fill`)."""
    images = _mapping(platform.get("images"))
    missing: Missing = []
    if not images.get("registry") and not all(
        images.get(name) for name in (*image_digests.needed_images(platform), "registries")
    ):
        # Fargate tasks, and nodes without a link to a site, reach no registry but Amazon ECR.
        linked = {link.get("to") for link in _section(platform, "links")}
        clusters = [
            cluster for cluster in _section(platform, "clusters") if cluster.get("site") not in linked
        ]
        aws_part = next(iter([*_fargate_gateways(platform), *clusters]), None)
        account, region = _account_and_region(platform, aws_part) if aws_part is not None else ("", "")
        ecr = f"{account}.dkr.ecr.{region}.amazonaws.com/llm"
        missing.append(("images.registry", ecr if aws_part is not None else "registry.example"))
    hosted = [e for e in _section(platform, "endpoints") if e.get("target") == "sagemaker"]
    if hosted and not images.get("sagemaker"):
        # SageMaker pulls only from Amazon ECR, so the organisation's registry cannot provide this image.
        missing.append(("images.sagemaker", f"<account>.dkr.ecr.<region>.amazonaws.com/vllm@{_DIGEST}"))
    return missing


def _issuer(platform: dict[str, Any]) -> Missing:
    """The certificate issuer, if a server has no certificate Secret of its own."""
    served = [e for e in _section(platform, "endpoints") if e.get("target") in VLLM_TARGETS]
    gateways = [gateway for gateway in _section(platform, "gateways") if gateway.get("runs_on") != "fargate"]
    review_services = [_mapping(gateway["reviews"]) for gateway in gateways if gateway.get("reviews")]
    without_secret = [
        server for server in (*served, *gateways, *review_services) if not server.get("certificate_secret")
    ]
    issuer = _mapping(platform.get("issuer"))
    return [("issuer.name", "internal-ca")] if without_secret and not issuer.get("name") else []


def _monitoring(platform: dict[str, Any]) -> Missing:
    monitoring = _mapping(platform.get("monitoring"))
    in_clusters = any(gateway.get("runs_on") != "fargate" for gateway in _section(platform, "gateways"))
    return [] if monitoring.get("namespace") or not in_clusters else [("monitoring.namespace", "monitoring")]


def _weights(platform: dict[str, Any]) -> Missing:
    missing: Missing = []
    for endpoint in _section(platform, "endpoints"):
        if endpoint.get("target") not in (*VLLM_TARGETS, "sagemaker"):
            continue
        name = endpoint.get("id")
        hosted = endpoint.get("target") == "sagemaker"
        weights = _mapping(endpoint.get("weights"))
        if not weights.get("uri"):
            claim = _claim_name(endpoint, platform)
            missing.append(
                (f"endpoints[{name}].weights.uri", f"s3://weights/{claim}/" if hosted else f"pvc://{claim}")
            )
        if not weights.get("digest"):
            missing.append((f"endpoints[{name}].weights.digest", _DIGEST))
        precision = endpoint.get("precision")
        if not weights.get("precision") and precision not in (None, "bf16", *PRECISIONS_MADE_WHILE_LOADING):
            missing.append((f"endpoints[{name}].weights.precision", str(precision)))
    return missing


def _node_names(platform: dict[str, Any]) -> Missing:
    """The node names of MIG pools. MIG manager slices the GPUs of a node by the node's label."""
    return [
        (f"pools[{pool.get('name')}].node_names", "[gpu-node-1, gpu-node-2]")
        for pool in _section(platform, "pools")
        if pool.get("mig") and not pool.get("node_names")
    ]


def _clusters(platform: dict[str, Any]) -> Missing:
    """The Kubernetes version and the administrators of each EKS cluster."""
    managed = [
        cluster for cluster in _section(platform, "clusters") if cluster.get("mode", "manage") == "manage"
    ]
    role = "{name: platform, principal: arn:aws:iam::123456789012:role/platform}"
    return [
        (f"clusters[{cluster.get('name')}].{key}", example)
        for cluster in managed
        for key, example in (("version", '"1.36"'), ("admins", f"[{role}]"))
        if not cluster.get(key)
    ]


def _claim_name(endpoint: dict[str, Any], platform: dict[str, Any]) -> str:
    """The name of the volume claim for an endpoint's weights.

    It is the model's name, not the endpoint's, so that a later plan uses the same claim (docs/stacks.md). The model's
    owner is part of it if two owners have models of one name.
    """
    model = str(endpoint.get("model") or endpoint.get("id"))
    tail = model.rpartition("/")[2]
    other_models = {
        str(other_endpoint.get("model")) for other_endpoint in _section(platform, "endpoints")
    } - {model}
    shared = any(other_model.rpartition("/")[2] == tail for other_model in other_models)
    return re.sub(r"[^a-z0-9]+", "-", (model if shared else tail).lower()).strip("-")


def _audit_stores(platform: dict[str, Any]) -> Missing:
    on_prem = {site.get("name") for site in _section(platform, "sites") if site.get("kind") == "on-prem"}
    missing: Missing = []
    for store in _section(platform, "audit"):
        if store.get("site") not in on_prem or store.get("mode") != "existing":
            continue
        name = store.get("name")
        if not store.get("endpoint"):
            missing.append((f"audit[{name}].endpoint", "https://s3.site.example"))
        if not store.get("bucket"):
            missing.append((f"audit[{name}].bucket", "isthmus-audit"))
        if not store.get("address"):
            missing.append((f"audit[{name}].address", _example_address(platform, store)))
    return missing


def _s3_addresses(platform: dict[str, Any]) -> Missing:
    """The address of S3 at an AWS site whose network exists: sealers in its cluster are let out to addresses."""
    existing = {
        network.get("site") for network in _section(platform, "networks") if network.get("mode") == "existing"
    }
    in_clusters = {
        gateway.get("site")
        for gateway in _section(platform, "gateways")
        if gateway.get("runs_on") != "fargate"
    }
    clusters = {cluster.get("site") for cluster in _section(platform, "clusters")}
    return [
        (f"audit[{store.get('name')}].address", _example_address(platform, store))
        for store in _section(platform, "audit")
        if store.get("site") in existing & in_clusters & clusters and not store.get("address")
    ]


def _example_address(platform: dict[str, Any], part: dict[str, Any], host: int = 9) -> str:
    """An example of an address in the site of `part`."""
    site = next((site for site in _section(platform, "sites") if site.get("name") == part.get("site")), {})
    cidrs = site.get("cidrs")
    start = str(cidrs[0]).rpartition("/")[0] if isinstance(cidrs, list) and cidrs else "10.40.0.0"
    return f"{start.rpartition('.')[0]}.{host}"


def _screening(platform: dict[str, Any]) -> Missing:
    """The models that find names in prompts that leave the gateway's site."""
    site_of = {endpoint.get("id"): endpoint.get("site") for endpoint in _section(platform, "endpoints")}
    missing: Missing = []
    for gateway in _section(platform, "gateways"):
        class_ = gateway.get("class")
        redactions = [*(handling.handling_of(class_).redacted if class_ in SENSITIVITIES else ())]
        redactions += gateway.get("redacted") or []
        if gateway.get("runs_on") == "fargate" or "prompts-leaving-site" not in redactions:
            continue
        reached = [
            endpoint_id
            for workload in _section(gateway, "workloads")
            for endpoint_id in _reached_endpoints(workload)
        ]
        leaves_site = any(
            site_of.get(endpoint_id, gateway.get("site")) != gateway.get("site") for endpoint_id in reached
        )
        screening = _mapping(gateway.get("screening"))
        if leaves_site and (example := _models_example(screening)):
            missing.append((f"gateways[{gateway.get('name')}].screening.models", example))
    return missing


def _models_example(screening: dict[str, Any]) -> str:
    """An example of the models of a screening, if it has none, or only the default one and a language without it."""
    models = [model for model in screening.get("models") or [] if isinstance(model, dict)]
    spoken = [language for language in screening.get("languages") or ["en"] if isinstance(language, str)]
    lacking = set(spoken) - {model.get("language") for model in models}
    if not lacking or any(model != ENGLISH_MODEL for model in models):
        return ""
    examples = [
        _NAMES_MODEL
        if language == "en"
        else f"{{file: <a spaCy pipeline>.whl, sha256: <64 hex digits>, language: {language}}}"
        for language in spoken
    ]
    return f"[{', '.join(examples)}]"


def _reached_endpoints(workload: dict[str, Any]) -> list[Any]:
    canary = _mapping(workload.get("canary")).get("endpoint")
    lists = [workload.get(key) for key in ("also", "overflow", "fallback")]
    return [
        workload.get("endpoint"),
        canary,
        *(
            endpoint_id
            for endpoint_ids in lists
            if isinstance(endpoint_ids, list)
            for endpoint_id in endpoint_ids
        ),
    ]


def _trust(platform: dict[str, Any]) -> Missing:
    """The certificate authority that AWS trusts, and the issuer that signs the identities."""
    missing: Missing = []
    identities = _section(platform, "identities")
    for trust in _section(platform, "trust"):
        name = trust.get("name")
        members = [identity for identity in identities if identity.get("trust") == name]
        if trust.get("mode") == "manage" and not trust.get("ca_certificates") and not trust.get("acm_pca"):
            missing.append((f"trust[{name}].ca_certificates", "-----BEGIN CERTIFICATE----- …"))
        if any(not identity.get("certificate_secret") for identity in members) and not trust.get("issuer"):
            missing.append((f"trust[{name}].issuer.name", "llm-identities"))
    return missing


def _links(platform: dict[str, Any]) -> Missing:
    """The ordered connection of a Direct Connect link, and the VLAN on it."""
    missing: Missing = []
    for link in _section(platform, "links"):
        if link.get("kind") != "direct-connect" or link.get("mode") != "manage":
            continue
        name = link.get("name")
        if not link.get("connection") and not link.get("direct_connect_gateway"):
            missing.append((f"links[{name}].connection", "dxcon-fh6ayh1d"))
            missing += [] if link.get("vlan") else [(f"links[{name}].vlan", "101")]
    return missing


def _fargate_gateways(platform: dict[str, Any]) -> list[dict[str, Any]]:
    return [gateway for gateway in _section(platform, "gateways") if gateway.get("runs_on") == "fargate"]


def _account_and_region(platform: dict[str, Any], part: dict[str, Any]) -> tuple[str, str]:
    """Examples of the account and the region of a gateway's or cluster's site."""
    site = next((site for site in _section(platform, "sites") if site.get("name") == part.get("site")), {})
    return str(site.get("account_id") or "123456789012"), str(site.get("region") or "eu-central-1")


def _fargate_secrets(platform: dict[str, Any]) -> Missing:
    """ARNs of the secrets with the callers and the certificates of gateways on Fargate."""
    missing: Missing = []
    for gateway in _fargate_gateways(platform):
        account, region = _account_and_region(platform, gateway)
        name, sensitivity = gateway.get("name"), gateway.get("class")
        settings = _mapping(gateway.get("fargate"))
        by_token = (
            [("fargate.sign_on_secret", settings, "sign-on-a1B2c3")] if _has_users(platform, gateway) else []
        )
        for key, section, example in (
            *by_token,
            ("certificate_secret", gateway, "gateway-tls-a1B2c3"),
            ("callers_secret", gateway, "callers-a1B2c3"),
            ("fargate.translator_secret", settings, "translator-tls-a1B2c3"),
            ("audit.secret", _mapping(gateway.get("audit")), "audit-a1B2c3"),
            ("audit.sealer_secret", _mapping(gateway.get("audit")), "sealer-a1B2c3"),
        ):
            if not section.get(key.rpartition(".")[2]):
                arn = f"arn:aws:secretsmanager:{region}:{account}:secret:llm/{sensitivity}-{example}"
                missing.append((f"gateways[{name}].{key}", arn))
    return missing


def _has_users(platform: dict[str, Any], gateway: dict[str, Any]) -> bool:
    """Whether people use a workload of the gateway by token."""
    served = {workload.get("name") for workload in _section(gateway, "workloads")}
    users = _section(_mapping(platform.get("people")), "users")
    return any(name in served for each in users for name in each.get("workloads") or [])


def _reviews(platform: dict[str, Any]) -> Missing:
    """The review database and the reviewers' network, or `reviewed_by` in AWS, where no answers are held."""
    missing: Missing = []
    for gateway in _section(platform, "gateways"):
        name = gateway.get("name")
        if gateway.get("reviews"):
            if any(workload.get("reviewed_by") for workload in _section(gateway, "workloads")):
                continue  # A workload may have only one of the two. Validation reports which.
            reviews = _mapping(gateway.get("reviews"))
            missing += _database(platform, gateway)
            if not reviews.get("from_cidrs") and not reviews.get("from_namespaces"):
                missing.append((f"gateways[{name}].reviews.from_namespaces", "[reviewers]"))
            missing += _desk(gateway, _mapping(reviews.get("desk")))
            continue
        sites = [site for site in _section(platform, "sites") if site.get("name") == gateway.get("site")]
        if any(site.get("kind") != "aws" for site in sites):
            continue
        for workload in _section(gateway, "workloads"):
            needs_review = workload.get("review") or workload.get("impact") == "material"
            if needs_review and workload.get("impact") != "high" and not workload.get("reviewed_by"):
                missing.append(
                    (f"gateways[{name}].workloads[{workload.get('name')}].reviewed_by", "claims-desk")
                )
    return missing


def _desk(gateway: dict[str, Any], desk: dict[str, Any]) -> Missing:
    """The address and the reviewers' network of a review desk, if there is one."""
    place = f"gateways[{gateway.get('name')}].reviews.desk"
    values = (
        ("url", desk.get("url"), f"https://reviews-{gateway.get('class')}.site.example"),
        ("from_namespaces", desk.get("from_cidrs") or desk.get("from_namespaces"), "[ingress]"),
    )
    return [(f"{place}.{key}", example) for key, value, example in values if desk and not value]


def _stored_requests(platform: dict[str, Any]) -> Missing:
    """The database of a gateway in a cluster that keeps requests or answers for its callers, without reviews."""
    return [
        value
        for gateway in _section(platform, "gateways")
        if not gateway.get("reviews") and gateway.get("runs_on") != "fargate"
        if any(
            STORING.intersection(workload.get("interfaces") or [])
            for workload in _section(gateway, "workloads")
        )
        for value in _database(platform, gateway)
    ]


def _database(platform: dict[str, Any], gateway: dict[str, Any]) -> Missing:
    """Host and address of a gateway's database."""
    name, database = gateway.get("name"), _mapping(gateway.get("database"))
    examples = {
        "host": f"postgres-{gateway.get('class')}.site.example",
        "address": _example_address(platform, gateway, 20),
    }
    return [
        (f"gateways[{name}].database.{key}", example)
        for key, example in examples.items()
        if not database.get(key)
    ]


def _chats(platform: dict[str, Any]) -> Missing:
    """The address, the database and the people's network of a chat, and the address of the sign-on of chats and
    desks."""
    missing: Missing = []
    for gateway in _section(platform, "gateways"):
        chat = _mapping(gateway.get("chat"))
        if not chat:
            continue
        place, sensitivity = f"gateways[{gateway.get('name')}].chat", gateway.get("class")
        database = _mapping(chat.get("database"))
        for key, is_there, example in (
            ("url", chat.get("url"), f"https://chat-{sensitivity}.site.example"),
            ("database.host", database.get("host"), f"postgres-{sensitivity}.site.example"),
            ("database.address", database.get("address"), _example_address(platform, gateway, 20)),
            ("from_namespaces", chat.get("from_cidrs") or chat.get("from_namespaces"), "[ingress]"),
        ):
            missing += [] if is_there else [(f"{place}.{key}", example)]
    sign_on = _mapping(_mapping(platform.get("people")).get("sign_on"))
    signs_on = any(
        gateway.get("chat") or _mapping(gateway.get("reviews")).get("desk")
        for gateway in _section(platform, "gateways")
    )
    if signs_on and sign_on and not sign_on.get("address"):
        missing.append(("people.sign_on.address", "10.40.0.12"))
    return missing


def _budgets_and_contacts(platform: dict[str, Any]) -> Missing:
    """The amounts of budgets, and the contacts who receive alerts."""
    budgets = _section(platform, "budgets")
    missing: Missing = [
        (f"budgets[{budget.get('name')}].monthly_usd", "500")
        for budget in budgets
        if budget.get("monthly_usd") is None
    ]
    contacts = _mapping(platform.get("contacts"))
    if budgets and not contacts.get("cost"):
        missing.append(("contacts.cost", "[llm-cost@site.example]"))
    trails = [trail for trail in _section(platform, "trails") if trail.get("mode") == "manage"]
    if trails and not contacts.get("security"):
        missing.append(("contacts.security", "[security@site.example]"))
    return missing


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _section(platform: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = platform.get(key)
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
