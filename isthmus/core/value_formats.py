"""Describes the expected form of a value for error messages: patterns in words with an example, units of numbers."""

from __future__ import annotations

DESCRIPTIONS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,119}\.whl$": "a wheel's name like `de_core_news_md-3.8.0-py3-none-any.whl`",
    r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$": "a label's value like `kube-prometheus-stack`",
    r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$": "a DNS name in full like `llm.bank.example`",
    r"^[A-Za-z0-9._/-]{1,253}$": "a key or class of Kubernetes like `metallb.io/metallb`",
    r"^[a-z]{2,3}$": "a language like `de`",
    r"^[!-~]{1,200}$": "printable ASCII characters without spaces, like `isthmus`",
    r"^[A-Za-z0-9_.:/-]{1,100}$": "the name of a token's claim like `groups`",
    r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$": (
        "an https address without credentials and query, like `https://sso.bank.example/realms/bank`"
    ),
    r"^/?[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$": (
        "a path without two dots in a row, like `tools.jinja` or `/templates/tools.jinja`"
    ),
    r"^[A-Z][A-Z0-9_]{1,40}$": "an entity like `IBAN_CODE`",
    r"^[A-Z][A-Z0-9_]{0,30}$": "a topic's name like `WEAPONS`",
    r"^\d{4}-\d{2}-\d{2}$": "a date like `2026-11-25`",
    r"^[0-9a-f]{4}$": "four hexadecimal digits of a PCI device like `2330`",
    r"^[0-9a-f]{64}$": "64 hexadecimal digits",
    r"^[0-9a-f-]{36}$": "a UID like `5f0c6d0e-7f7a-4a53-9a3e-0c5f7e1d2b3c`",
    r"^(pvc://[a-z0-9.-]+(/[\w./-]*)?|oci://\S+@sha256:[0-9a-f]{64}|s3://[a-z0-9.-]+/[\w.@=+/-]*[\w/-])$": (
        "`pvc://CLAIM/PATH`, `oci://REFERENCE@sha256:DIGEST` or `s3://BUCKET/PREFIX` (SageMaker: with a `/` at the end)"
    ),
    r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/([A-Za-z0-9_.@=+-]+/)+$": (
        "a folder of S3 like `s3://llm-weights/qwen3-32b/`, with the slash at its end"
    ),
    r"^[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.(com(\.cn)?|eu)/[a-z0-9._/-]+(:[\w.-]+)?@sha256:[0-9a-f]{64}$": (
        "an image of Amazon ECR by digest: `ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME@sha256:DIGEST`"
    ),
    r"^ml\.[a-z][a-z0-9-]*\.[a-z0-9]+$": "an instance type of SageMaker like `ml.g6e.12xlarge`",
    r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$": (
        "a key's ARN like `arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d-4e5f-6789-abcd-0123456789ab`"
    ),
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$": (
        "a role's ARN like `arn:aws:iam::123456789012:role/NAME`"
    ),
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:policy/[A-Za-z0-9+=,.@_/-]+$": (
        "the ARN of a policy of the account's own (none of AWS's) like `arn:aws:iam::123456789012:policy/NAME`"
    ),
    r"^arn:aws[a-z-]*:rolesanywhere:[a-z0-9-]+:[0-9]{12}:trust-anchor/[A-Za-z0-9-]+$": (
        "a trust anchor's ARN like `arn:aws:rolesanywhere:eu-central-1:123456789012:trust-anchor/ID`"
    ),
    r"^arn:aws[a-z-]*:acm-pca:[a-z0-9-]+:[0-9]{12}:certificate-authority/[A-Za-z0-9-]+$": (
        "a private authority's ARN like `arn:aws:acm-pca:eu-central-1:123456789012:certificate-authority/ID`"
    ),
    r"^([a-z0-9]+|arn:aws[a-z-]*:bedrock:[a-z0-9-]+:[0-9]{12}:guardrail/[a-z0-9]+)$": (
        "a guardrail's id or ARN like `a1b2c3d4e5f6` or "
        "`arn:aws:bedrock:eu-central-1:123456789012:guardrail/a1b2c3d4e5f6`"
    ),
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$": (
        "a gateway's id like `0a1b2c3d-4e5f-6789-abcd-0123456789ab`"
    ),
    r"^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@([A-Za-z0-9-]+\.)+[A-Za-z0-9-]{2,}$": (
        "an address like `team@site.example`"
    ),
    r"^[1-9]g\.[1-9][0-9]{0,2}gb$": "a MIG profile like `3g.40gb`",
    r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$": "a bucket's name like `llm-audit`",
    r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$": "a name as Kubernetes has them, like `internal-ca`",
    r"^[a-z]{2,4}(-[a-z]+)+-[0-9][a-z]$": "an availability zone like `eu-central-1a`",
    r"^vpc-[0-9a-f]+$": "a VPC's id like `vpc-0a1b2c3d4e5f67890`",
    r"^subnet-[0-9a-f]+$": "a subnet's id like `subnet-0a1b2c3d4e5f67890`",
    r"^rtb-[0-9a-f]+$": "a route table's id like `rtb-0a1b2c3d4e5f67890`",
    r"^tgw-[0-9a-f]+$": "a transit gateway's id like `tgw-0a1b2c3d4e5f67890`",
    r"^dxcon-[0-9a-z]+$": "a connection's id like `dxcon-fh6ayh1d`",
    r"^cr-[0-9a-f]+$": "a capacity reservation's id like `cr-0a1b2c3d4e5f67890`",
    r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$": "an instance type like `p5.48xlarge`",
    r"^1\.[1-9][0-9]$": "a version of Kubernetes like `1.36`",
    r"^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$": "a cluster's name like `llm-frankfurt`",
    r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$": "a DNS zone like `fra1.site.example`",
    r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$": "a name of at most 40 characters a-z, 0-9 and `-`",
    r"^sha256:[0-9a-f]{64}$": "`sha256:` and 64 hexadecimal digits",
    r"^[a-z0-9.\-_/:]+@sha256:[0-9a-f]{64}$": "an image by digest: `registry.example/NAME@sha256:DIGEST`",
    r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*/?$": "a registry like `registry.example/llm`",
    r"^(oci|https)://[a-z0-9.\-_/:]+$": "a repository of charts like `oci://registry.example/charts`",
    r"^v?[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?$": "a chart's version like `v1.21.2`",
    r"^http://(\d{1,3}\.){3}\d{1,3}:\d{1,5}$": "a proxy's address like `http://10.40.0.20:3128`",
    r"^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$": (
        "a secret's ARN like `arn:aws:secretsmanager:eu-central-1:123456789012:secret:NAME-a1B2c3`"
    ),
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:(root|(role|user)/[A-Za-z0-9+=,.@_/-]+)$": (
        "an account, role or user like `arn:aws:iam::123456789012:root`"
    ),
    r"^Z[A-Z0-9]{1,31}$": "a hosted zone's id like `Z0123456789ABCDEFGHIJ`",
    r"^(\d{1,3}\.){3}\d{1,3}$": "an address like `10.40.3.10`",
    r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$": "a network like `10.40.0.0/16`",
    r"^[1-9][0-9]{0,7}$": "a numbered version like `3`, never DRAFT",
    r"^[A-Za-z0-9][A-Za-z0-9 ._@:/+=-]*$": "a group or user as the API server knows them, like `oidc:llm-ops`",
    r"^[A-Za-z0-9+=,.@-]{1,32}$": "a permission set like `LlmOps`",
    r"^arn:aws[a-z-]*:iam::[0-9]{12}:saml-provider/[A-Za-z0-9._-]{1,128}$": (
        "a SAML provider's ARN like `arn:aws:iam::123456789012:saml-provider/NAME`"
    ),
    r"^ssh-ed25519 [A-Za-z0-9+/]{68}( .*)?$": "an Ed25519 public key, as `ssh-keygen -t ed25519` writes it",
    r"^[0-9*/,-]+( [0-9*/,-]+){4}$": "a schedule as Kubernetes writes it, like `0 3 * * 6`: Saturdays at 3:00 UTC",
    r"^ssh-ed25519 [A-Za-z0-9+/]{68}$": "an Ed25519 public key without its comment: `ssh-ed25519 BASE64`",
    r"^[A-Z][A-Za-z0-9]+ [A-Za-z0-9][A-Za-z0-9.-]*$": "kind and name like `Bucket llm-frankfurt-bucket`",
    r"^[a-z_][a-z0-9_-]{0,62}$": "a name as PostgreSQL has them, like `isthmus`",
    r"^https://[a-z0-9.-]+(:[0-9]{1,5})?$": "an https address without path, like `https://reviews.bank.example`",
    r"^https://[a-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?$": "an https address, like `https://app.bank.example/isthmus`",
    r"^[a-z0-9][a-z0-9-]{0,39}$": "a word like `wrong-amount`",
    r"^https://[a-z0-9.-]+(:[0-9]{1,5})?/[A-Za-z0-9._/-]*$": (
        "an address like `https://collector.site.example:4318/v1/traces`"
    ),
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,119}$": "a policy's version like `v12`",
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$": "a file's path like `calibrations/onboarding.json`",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\.json$": "a JSON file like `results/extraction.json`",
    r"^[A-Za-z0-9][A-Za-z0-9 ._@:/-]{0,119}$": "a team or an application like `claims-desk`",
    r"^[a-z0-9][a-z0-9._@+-]{0,119}$": "a person's name in lower case like `erika@site.example`",
    r"^[0-9]{12}$": "an account's 12 digits",
    r"^[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}$": "a mailbox like `desk@site.example`",
    r"^[A-Z]{2,6}$": "a country's code like `DE`",
    r"^[A-Za-z0-9 -]{1,40}$": "a region's code without its country's, like `HE`",
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$": "at most 63 lower-case letters, digits and hyphens like `payments`",
    r"^arn:aws[a-z-]*:ce::[0-9]{12}:anomalymonitor/[a-f0-9-]+$": (
        "a monitor's ARN like `arn:aws:ce::123456789012:anomalymonitor/0a1b2c3d-4e5f-6789-abcd-0123456789ab`"
    ),
    r"^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$": (
        "a DNS name like `licence.vendor.example`, or all below a zone like `*.tools.site.example`"
    ),
    r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$": (
        "a label's key like `topology.kubernetes.io/zone`"
    ),
    r"^[0-9]{3}(\.[0-9]+){0,2}$": "a driver's version like `595.91.07`, or a branch like `595`",
    r"^([0-9]|[1-9][0-9]|100)%$|^[1-9][0-9]*$": "a count like `2` or a share like `25%`",
    r"^([a-z0-9-]+/)?[a-z0-9][a-z0-9.-]*$": "a network's name like `fabric/restricted`",
    r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$": "a resource like `rdma/hca_shared_devices`",
    r"^\+?[0-9][0-9 ()/-]{1,39}$": "a phone number like `+49 69 4711`",
    r"^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$": "a quantity like `8`, `500m` or `64Gi`",
}
"""Every pattern of the contracts (a test checks that none is missing) and how to describe it."""
_UNITS = {
    "calls": "calls",
    "characters": "characters",
    "cpus": "CPUs",
    "days": "days",
    "domains": "failure domains",
    "gb": "GB",
    "gib": "GiB",
    "gpus": "GPUs",
    "h": "hours",
    "hours": "hours",
    "instances": "instances",
    "kw": "kW",
    "kwh": "kWh",
    "mbps": "Mbit/s",
    "mib": "MiB",
    "minutes": "minutes",
    "months": "months",
    "ms": "milliseconds",
    "nodes": "nodes",
    "pct": "per cent",
    "percent": "per cent",
    "replicas": "replicas",
    "requests": "requests",
    "rps": "requests per second",
    "s": "seconds",
    "seconds": "seconds",
    "tokens": "tokens",
    "usd": "USD",
    "years": "years",
}
"""Last word of a key, or of its part before `_per_` → unit."""
_UNITS_OF_KEYS = {
    "max_model_len": "tokens",
    "max_num_seqs": "requests",
    "model_units": "model units",
    "tensor_parallel": "GPUs",
}
"""Keys that do not name their unit."""
_WORDS_AFTER_PER = {"kwh": "kWh", "gb": "GB", "gpu_hour": "GPU hour", "kw_month": "kW and month"}


def describe_pattern(pattern: str) -> str:
    """Describe in words what a text of this pattern looks like."""
    return DESCRIPTIONS.get(pattern) or f"text of the form {pattern}"


def unit(key: object) -> str:
    """The unit in a key's name (`session_seconds`: seconds; `gpus_per_node`: GPUs per node), or an empty text."""
    if str(key) in _UNITS_OF_KEYS:
        return _UNITS_OF_KEYS[str(key)]
    amount, per, whole = str(key).partition("_per_")
    name = _UNITS.get(amount.rpartition("_")[2], "")
    if not name or not per:
        return name
    return f"{name} per {_WORDS_AFTER_PER.get(whole, whole.replace('_', ' '))}"
