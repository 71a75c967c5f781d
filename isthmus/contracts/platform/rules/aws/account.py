"""Rules for the AWS parts of a platform: names, identities, logs, trails, budgets, guardrails and tags.

These rules do not call AWS; `stacks.aws_account.account` checks what only the account knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from isthmus.contracts.reference import guardrail_tiers, handling, jurisdictions
from isthmus.core.errors import FieldError, InputError, IsthmusError, Where
from isthmus.core.uniqueness import unique

if TYPE_CHECKING:
    import datetime

    from isthmus.contracts.platform.model.aws.account import Guardrail, Trust
    from isthmus.contracts.platform.model.platform import Identity, Platform, Workload

_TAG_PATTERN = re.compile(r"[\w .:/=+@-]+")
"""Letters and digits of any script, and the signs that every service takes (AWS's tagging guide)."""
MAX_TAGS = 40
"""AWS allows 50 tags a resource; ten are kept for Isthmus."""
PARTS = ("networks", "links", "trust", "guardrails", "invocation_logging", "trails", "budgets", "provisioned")


def aws_parts_are_named(platform: Platform) -> None:
    """Names are unique, named parts exist, and each part is at a site of the right kind."""
    from isthmus.contracts.platform.lookups.names import check_name

    for part in PARTS:
        unique(getattr(platform, part), "name", part)
    aws = [site.name for site in platform.sites if site.kind == "aws"]
    on_prem = [site.name for site in platform.sites if site.kind == "on-prem"]
    for part in PARTS:
        for index, item in enumerate(getattr(platform, part)):
            if hasattr(item, "site"):
                check_name(item.site, aws, "site in AWS", part, index, "site")
    for index, link in enumerate(platform.links):
        check_name(link.from_, on_prem, "on-prem site", "links", index, "from")
        check_name(link.to, aws, "site in AWS", "links", index, "to")
    trust = {entry.name: entry for entry in platform.trust}
    guardrails = {entry.name: entry for entry in platform.guardrails}
    for index, identity in enumerate(platform.identities):
        if identity.trust is not None:
            check_name(identity.trust, trust, "trust", "identities", index, "trust")
            _check_same_site(identity.site, trust[identity.trust].site, "identities", index, "trust")
        if identity.guardrail is not None:
            check_name(identity.guardrail, guardrails, "guardrail", "identities", index, "guardrail")
            _check_same_site(
                identity.site, guardrails[identity.guardrail].site, "identities", index, "guardrail"
            )
            if guardrails[identity.guardrail].class_ != identity.class_:
                message = (
                    f"identity {identity.name} of class {identity.class_} has a guardrail of another class"
                )
                fix = f"Use a guardrail of class {identity.class_}"
                raise FieldError(message, *("identities", index, "guardrail"), fix=fix, refused=True)
    bedrock = [endpoint.id for endpoint in platform.endpoints if endpoint.target == "bedrock"]
    for index, throughput in enumerate(platform.provisioned):
        check_name(throughput.endpoint, bedrock, "endpoint on Bedrock", "provisioned", index, "endpoint")
    if platform.anomalies.site is not None:
        check_name(platform.anomalies.site, aws, "site in AWS", "anomalies", "site")
    _check_singletons(platform)


def _check_same_site(identity_site: str, part_site: str, *path: str | int) -> None:
    if identity_site != part_site:
        message = f"{path[-1]} is at site {part_site}, but the identity is at {identity_site}"
        raise FieldError(message, *path, fix=f"Use one at {identity_site}")


def _check_singletons(platform: Platform) -> None:
    """One invocation log a region, one trust a site, one trail an account, one guardrail a class and site."""
    accounts = _account_by_site(platform)
    places = {site.name: (accounts[site.name], site.region) for site in platform.sites}
    sites = {site.name: site.name for site in platform.sites}
    for part, description, place_by_site in (
        ("invocation_logging", "invocation logs", places),
        ("trust", "trust anchors", sites),
    ):
        first_names: dict[object, str] = {}
        for index, part_entry in enumerate(getattr(platform, part)):
            if place_by_site[part_entry.site] in first_names:
                pair = f"`{first_names[place_by_site[part_entry.site]]}` and `{part_entry.name}`"
                where = (
                    part_entry.site
                    if place_by_site is sites
                    else f"the account and region of {part_entry.site}"
                )
                raise FieldError(
                    f"{where} has two {description}, {pair}", part, index, fix="Remove one of them"
                )
            first_names[place_by_site[part_entry.site]] = part_entry.name
    trails: dict[str, str] = {}
    for index, trail in enumerate(platform.trails):
        if accounts[trail.site] in trails:
            raise FieldError(
                f"the account of {trail.site} has two trails, `{trails[accounts[trail.site]]}` and `{trail.name}`",
                *("trails", index),
                fix="Remove one of them: a trail covers all regions of an account",
            )
        trails[accounts[trail.site]] = trail.name
    pairs: set[tuple[str, str]] = set()
    for index, guardrail in enumerate(platform.guardrails):
        if (guardrail.site, guardrail.class_) in pairs:
            raise FieldError(
                f"class {guardrail.class_} has two guardrails at {guardrail.site}", *("guardrails", index)
            )
        pairs.add((guardrail.site, guardrail.class_))


def _account_by_site(platform: Platform) -> dict[str, str]:
    """The account of each site: account_id, else the account of assume_role, else a marker for the credentials' own."""
    default = "the credentials' own"
    return {
        site.name: site.account_id or (site.assume_role.split(":")[4] if site.assume_role else default)
        for site in platform.sites
    }


def permissions_boundaries_are_in_the_account(platform: Platform) -> None:
    """A permissions boundary is a policy of the site's own account."""
    sites = {site.name: site for site in platform.sites}
    for part in ("sites", "identities"):
        for index, entry in enumerate(getattr(platform, part)):
            site = sites[entry.name if part == "sites" else entry.site]
            boundary = entry.permissions_boundary
            if boundary and site.account_id and boundary.split(":")[4] != site.account_id:
                message = f"`{boundary}` is not a policy of {site.name}'s account {site.account_id}"
                raise FieldError(
                    message, *(part, index, "permissions_boundary"), fix="Use a policy of that account"
                )


def identities_have_a_trust(platform: Platform) -> None:
    """Identities by certificate have a trust with a private authority, a certificate, and the images they need."""
    by_certificate = [
        (index, identity)
        for index, identity in enumerate(platform.identities)
        if identity.assumed_by == "roles-anywhere"
    ]
    for index, identity in by_certificate:
        if identity.trust is None:
            raise FieldError(
                f"identity {identity.name} has no `trust`, so AWS could not verify its certificate",
                *("identities", index, "trust"),
                fix="Set `trust` to one of `trust`; access keys are not supported",
                refused=True,
            )
    for index, trust in enumerate(platform.trust):
        _check_authority(trust, index)
    trusts = {trust.name: trust for trust in platform.trust}
    for index, identity in by_certificate:
        _check_certificate(identity, index, trusts[identity.trust or ""])
    _check_translator_images(platform, [identity for _, identity in by_certificate])


def _check_authority(trust: Trust, index: int) -> None:
    """An existing trust names its anchor; a managed one has exactly one valid authority."""
    path = ("trust", index)
    if trust.mode == "existing" and trust.trust_anchor is None:
        raise FieldError(
            f"the existing trust {trust.name} has no trust_anchor",
            *(*path, "trust_anchor"),
            fix="Set trust_anchor to its ARN",
        )
    if trust.mode == "manage" and (trust.ca_certificates is None) == (trust.acm_pca is None):
        raise FieldError(
            f"trust {trust.name} has {'neither' if trust.acm_pca is None else 'both'} of ca_certificates "
            "and acm_pca, "
            "but needs exactly one",
            *(*path, "ca_certificates"),
            fix="Set ca_certificates to the PEM of the authority that signs the translators' certificates, or set"
            " acm_pca to the ARN of an ACM private authority",
        )
    if trust.mode == "manage" and trust.ca_certificates is not None:
        from isthmus.contracts.reference import certificate_authorities

        try:
            certificate_authorities.check_ca(trust.ca_certificates, "")
        except IsthmusError as error:
            raise FieldError(
                error.what, *(*path, "ca_certificates"), fix=error.fix, refused=error.exit_code == 1
            ) from None


def _check_certificate(identity: Identity, index: int, trust: Trust) -> None:
    """The trust is on, and a certificate is issued for the identity or given."""
    path = ("identities", index)
    if trust.mode == "off":
        raise FieldError(
            f"trust {trust.name} of identity {identity.name} is off",
            *(*path, "trust"),
            fix="Set its `mode` to manage or existing",
            refused=True,
        )
    if trust.issuer is None and identity.certificate_secret is None:
        raise FieldError(
            f"identity {identity.name} has neither an issuer nor a certificate_secret",
            *(*path, "certificate_secret"),
            fix=f"Set `issuer` of trust {trust.name}, or set certificate_secret here",
        )


def _check_translator_images(platform: Platform, by_certificate: list[Identity]) -> None:
    users_by_image = {"translator": platform.identities, "credential_helper": by_certificate}
    for name, users in users_by_image.items():
        if users and getattr(platform.images, name) is None:
            raise FieldError(
                f"`images` has no {name}, which translators with an AWS identity need",
                *("images", name),
                fix=(
                    "Set `images.registry` to the registry with the images of images.lock.yaml, or set this "
                    "image by digest"
                ),
            )


def expiring_authorities(platform: Platform, today: datetime.date, file: str | None = None) -> list[str]:
    """A warning for each authority that expires soon. Raises `Refused` for one that is not valid today.

    Not in `CHECKS`, because the rules there do not depend on the date.
    """
    from isthmus.contracts.reference import certificate_authorities

    lines: list[str] = []
    for trust in platform.trust:
        if trust.mode == "manage" and trust.ca_certificates:
            where = str(Where(file, None, f"trust[{trust.name}].ca_certificates"))
            facts = certificate_authorities.check_ca(trust.ca_certificates, where)
            lines += [
                f"{where}: '{authority.subject}' expires on {authority.not_after:%Y-%m-%d}; AWS access ends then"
                for authority in certificate_authorities.check_current(facts, today, where)
            ]
    return lines


def logs_and_trails_follow_the_classes(platform: Platform) -> None:
    """Logs keep content only if all classes allow it, and non-public work has a trail with enough retention."""
    for index, logging in enumerate(platform.invocation_logging):
        classes = _bedrock_classes(platform, logging.site)
        without_content = [class_ for class_ in classes if handling.handling_of(class_).content_days_max == 0]
        if logging.mode == "manage" and logging.text and (without_content or not classes):
            raise FieldError(
                f"the Bedrock invocation log at {logging.site} would keep prompts and answers of "
                f"{' and '.join(without_content)} work, which may not be kept",
                *("invocation_logging", index, "text"),
                fix="Set `text: false`: an account and region have one log for all classes",
                refused=True,
            )
        _check_retention(logging.retention_days, classes, "invocation_logging", index, "retention_days")
    sites = {trail.site: (index, trail) for index, trail in enumerate(platform.trails)}
    accounts = _account_by_site(platform)
    for site in [site for site in platform.sites if site.kind == "aws"]:
        classes = _classes_at(platform, site.name)
        in_account = [pair for pair in sites.values() if accounts[pair[1].site] == accounts[site.name]]
        active = [pair for pair in in_account if pair[1].mode != "off"]
        if any(class_ != "public" for class_ in classes) and not active:
            where = ("trails", in_account[0][0], "mode") if in_account else ("trails",)
            message = f"the account of site {site.name} has no active trail, but work above class public"
            raise FieldError(
                message,
                *where,
                fix="Add a trail with `mode: manage`, or `mode: existing` for the organisation's trail",
                refused=True,
            )
    for index, trail in enumerate(platform.trails):
        if trail.mode == "manage":
            classes = _classes_at(platform, trail.site)
            _check_retention(trail.retention_days, classes, "trails", index, "retention_days")
            if not platform.contacts.security:
                raise FieldError(
                    "contacts.security is empty, so nobody is told if the trail is switched off",
                    *("contacts", "security"),
                    fix="Add the email address of a group",
                )


def budgets_are_complete(platform: Platform) -> None:
    """Budgets cover existing names once, have a contact, and their denials have an identity to deny."""
    classes = {endpoint.class_ for endpoint in platform.endpoints}
    workloads = {workload.name for gateway in platform.gateways for workload in gateway.workloads}
    names = {"platform": {platform.name}, "class": classes, "workload": workloads}
    budgeted: set[tuple[str, str, str]] = set()
    for index, budget in enumerate(platform.budgets):
        path = ("budgets", index)
        if budget.of not in names[budget.scope]:
            listed = ", ".join(sorted(names[budget.scope]))
            raise FieldError(
                f"there is no {budget.scope} `{budget.of}`", *(*path, "of"), fix=f"Use one of: {listed}"
            )
        if (budget.site, budget.scope, budget.of) in budgeted:
            raise FieldError(
                f"{budget.scope} {budget.of} has two budgets at {budget.site}",
                *path,
                fix="Remove one of them",
            )
        budgeted.add((budget.site, budget.scope, budget.of))
        if budget.action == "deny" and not any(
            _can_deny(platform, budget.scope, budget.of, identity)
            for identity in platform.identities
            if identity.site == budget.site
        ):
            reason = f"no identity at {budget.site} serves {budget.scope} {budget.of}"
            message = f"budget {budget.name} has `action: deny`, but {reason}"
            fix = "Set `action: none`, or set `site` to the site with that identity"
            raise FieldError(message, *(*path, "action"), fix=fix)
    anomalies = platform.anomalies
    if anomalies.monitor is not None and anomalies.mode != "existing":
        raise FieldError(
            f"anomalies has a monitor, but `mode: {anomalies.mode}`",
            *("anomalies", "monitor"),
            fix="Set `mode: existing` to get alerts of that monitor, or remove `monitor`",
        )
    alerts = anomalies.mode == "manage" or anomalies.monitor is not None
    if (platform.budgets or alerts) and not platform.contacts.cost:
        message = "contacts.cost is empty, so nobody gets budget and cost alerts"
        raise FieldError(message, *("contacts", "cost"), fix="Add the email address of a group")


def languages_of(platform: Platform, guardrail: Guardrail) -> list[str]:
    """Languages of a guardrail: as stated, else those of the gateways' screenings, else English."""
    if guardrail.languages:
        return list(guardrail.languages)
    users = {identity.name for identity in platform.identities if identity.guardrail == guardrail.name}
    spoken = [
        language
        for gateway in platform.gateways
        if gateway.identity in users and gateway.screening is not None
        for language in gateway.screening.spoken
    ]
    return list(dict.fromkeys(spoken)) or ["en"]


def tier_of(platform: Platform, guardrail: Guardrail) -> str:
    """The tier of a guardrail: as stated, else the cheapest that filters its languages."""
    if guardrail.tier is not None:
        return guardrail.tier
    missed = guardrail_tiers.languages_without_filter(languages_of(platform, guardrail))
    return "standard" if set(missed) - set(guardrail.unfiltered_languages) else "classic"


def guardrails_cover_the_languages(platform: Platform) -> None:
    """A guardrail filters all its languages, in regions within the residency of its workloads."""
    for index, guardrail in enumerate(platform.guardrails):
        if guardrail.mode != "manage":
            continue
        path = ("guardrails", index)
        unfiltered = guardrail_tiers.languages_without_filter(languages_of(platform, guardrail))
        undecided = [language for language in unfiltered if language not in guardrail.unfiltered_languages]
        if tier_of(platform, guardrail) == "classic":
            if undecided:
                raise FieldError(
                    f"guardrail {guardrail.name} has tier classic, which does not filter {', '.join(undecided)}",
                    *(*path, "tier"),
                    fix="Set `tier: standard`, or add these languages to unfiltered_languages to accept that",
                )
            continue
        try:
            profile, regions = guardrail_tiers.guardrail_profile(platform.site(guardrail.site).region or "")
        except InputError as unknown:
            raise FieldError(unknown.what, *(*path, "tier"), fix=unknown.fix) from None
        for workload in _guarded_workloads(platform, guardrail):
            for region in regions:
                place = jurisdictions.region_jurisdiction(region)
                if workload.residency and not jurisdictions.meets_residency(place, workload.residency):
                    raise FieldError(
                        f"guardrail {guardrail.name} checks {', '.join(unfiltered) or 'content'} through "
                        f"{profile}, also in "
                        f"{region}, but workload {workload.name} may be in {', '.join(workload.residency)} only",
                        *(*path, "tier"),
                        fix="Set `tier: classic`, and list in unfiltered_languages what it does not filter",
                        refused=True,
                    )


def _guarded_workloads(platform: Platform, guardrail: Guardrail) -> list[Workload]:
    """Workloads whose calls use the guardrail."""
    endpoints_by_identity = {
        identity.name: set(identity.endpoints)
        for identity in platform.identities
        if identity.guardrail == guardrail.name
    }
    return [
        workload
        for gateway in platform.gateways
        if gateway.identity in endpoints_by_identity
        for workload in gateway.workloads
        if set(workload.reaches) & endpoints_by_identity[gateway.identity]
    ]


def _can_deny(platform: Platform, scope: str, name: str, identity: Identity) -> bool:
    """Whether a budget's denial can deny this identity: it serves exactly that class or workload."""
    if scope == "class":
        return identity.class_ == name
    served = {
        workload.name
        for gateway in platform.gateways
        if gateway.identity == identity.name
        for workload in gateway.workloads
    }
    return scope == "workload" and served == {name}


def tags_are_valid(platform: Platform) -> None:
    """Tags are valid for AWS and do not use reserved keys."""
    if len(platform.tags) > MAX_TAGS:
        raise FieldError(
            f"there are {len(platform.tags)} tags, but only {MAX_TAGS} are possible (AWS allows 50, some of "
            "them for Isthmus)",
            "tags",
            fix=f"Remove tags until {MAX_TAGS} are left",
        )
    reserved = {"isthmus-platform": platform.name, "isthmus-blueprint": platform.blueprint}
    for key, value in platform.tags.items():
        if key.lower().startswith(("isthmus-", "isthmus.dev/")) and reserved.get(key) != value:
            message = f"the tag key `{key}` is reserved for Isthmus (budgets and recovery use it)"
            fix = "Use a key that does not begin with `isthmus-`, `isthmus.dev/` or `aws:`"
            raise FieldError(message, "tags", key, fix=fix)
        if key.lower().startswith("aws:"):
            raise FieldError(
                f"the tag key `{key}` begins with aws:, which AWS reserves",
                "tags",
                key,
                fix="Use another key",
            )
        if (
            not _TAG_PATTERN.fullmatch(key)
            or len(key) > 128
            or (value and not _TAG_PATTERN.fullmatch(value))
            or len(value) > 256
        ):
            raise FieldError(
                f"the tag `{key}: {value}` is not valid in AWS",
                *("tags", key),
                fix="Use letters, digits, blanks and _.:/=+-@, 128 of them in a key and 256 in a value at most",
            )
    counted = platform.anomalies.mode == "manage" or any(
        budget.scope == "platform" for budget in platform.budgets
    )
    if counted and "isthmus-platform" not in platform.tags:
        message = (
            "the tag `isthmus-platform` is missing, but the platform's budget or anomaly monitor needs it"
        )
        raise FieldError(
            message,
            "tags",
            fix=f"Set `isthmus-platform: {platform.name}`, or remove the override that deletes it",
        )


def _bedrock_classes(platform: Platform, site: str) -> list[str]:
    """Classes of the Bedrock endpoints at a site, for the invocation log."""
    return sorted(
        {
            endpoint.class_
            for endpoint in platform.endpoints
            if endpoint.site == site and endpoint.target == "bedrock"
        }
    )


def _classes_at(platform: Platform, site: str) -> list[str]:
    """Classes of all endpoints at an AWS site."""
    return sorted({endpoint.class_ for endpoint in platform.endpoints if endpoint.site == site})


def _check_retention(days: int, classes: Iterable[str], *path: str | int) -> None:
    for class_ in classes:
        min_days = handling.handling_of(class_).records_months_min * 365 // 12
        if days < min_days:
            message = f"{path[-1]} is {days}, but class {class_} must keep records for {min_days} days"
            raise FieldError(message, *path, fix=f"Set {path[-1]} to {min_days} or more", refused=True)


CHECKS: tuple[Callable[[Platform], None], ...] = (
    aws_parts_are_named,
    permissions_boundaries_are_in_the_account,
    identities_have_a_trust,
    logs_and_trails_follow_the_classes,
    budgets_are_complete,
    guardrails_cover_the_languages,
    tags_are_valid,
)
