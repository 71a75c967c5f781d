"""What must hold of the AWS half of a platform, whoever wrote it. Rules of `platform_checks`.

Boundaries answer no (exit 1), the rest is wrong input (exit 2); every rule raises `FieldError` with the path of
the value at fault. Nothing here asks a cloud: what only the account knows is `stacks.aws_account.account`'s to check.
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

    from isthmus.contracts.platform.model.aws.account import Guardrail
    from isthmus.contracts.platform.model.platform import Identity, Platform, Workload

_TAG = re.compile(r"[\w .:/=+@-]+")
"""Letters and digits of any script, and the signs that every service takes (AWS's tagging guide)."""
TAGS = 40
"""Of the 50 that AWS takes, ten are left for Isthmus's own."""
PARTS = ("networks", "links", "trust", "guardrails", "invocation_logging", "trails", "budgets", "provisioned")


def aws_names(platform: Platform) -> None:
    """Names are unique; each part stands at a site of the right kind; what it names is there."""
    from isthmus.contracts.platform.lookups.names import known

    for part in PARTS:
        unique(getattr(platform, part), "name", part)
    aws = [site.name for site in platform.sites if site.kind == "aws"]
    on_prem = [site.name for site in platform.sites if site.kind == "on-prem"]
    for part in PARTS:
        for index, item in enumerate(getattr(platform, part)):
            if hasattr(item, "site"):
                known(item.site, aws, "site in AWS", part, index, "site")
    for index, link in enumerate(platform.links):
        known(link.from_, on_prem, "on-prem site", "links", index, "from")
        known(link.to, aws, "site in AWS", "links", index, "to")
    trust = {one.name: one for one in platform.trust}
    guardrails = {one.name: one for one in platform.guardrails}
    for index, identity in enumerate(platform.identities):
        if identity.trust is not None:
            known(identity.trust, trust, "trust", "identities", index, "trust")
            _same_site(identity.site, trust[identity.trust].site, "identities", index, "trust")
        if identity.guardrail is not None:
            known(identity.guardrail, guardrails, "guardrail", "identities", index, "guardrail")
            _same_site(identity.site, guardrails[identity.guardrail].site, "identities", index, "guardrail")
            if guardrails[identity.guardrail].class_ != identity.class_:
                what = f"identity {identity.name} of class {identity.class_} has another class's guardrail"
                raise FieldError(what, *("identities", index, "guardrail"), refused=True)
    bedrock = [endpoint.id for endpoint in platform.endpoints if endpoint.target == "bedrock"]
    for index, bought in enumerate(platform.provisioned):
        known(bought.endpoint, bedrock, "endpoint on Bedrock", "provisioned", index, "endpoint")
    if platform.anomalies.site is not None:
        known(platform.anomalies.site, aws, "site in AWS", "anomalies", "site")
    _one_each(platform)


def _same_site(mine: str, other: str, *path: str | int) -> None:
    if mine != other:
        raise FieldError(f"it stands at {other}, and this identity at {mine}", *path)


def _one_each(platform: Platform) -> None:
    """Singletons: of a region (logging), of an account (trails), of a class at a site (guardrails)."""
    accounts = _accounts(platform)
    places = {site.name: (accounts[site.name], site.region) for site in platform.sites}
    sites = {site.name: site.name for site in platform.sites}
    for part, what, of in (
        ("invocation_logging", "logs of calls", places),
        ("trust", "trust anchors", sites),
    ):
        seen: dict[object, str] = {}
        for index, one in enumerate(getattr(platform, part)):
            if of[one.site] in seen:
                both = f"`{seen[of[one.site]]}` and `{one.name}`"
                where = one.site if of is sites else f"the account and region of {one.site}"
                raise FieldError(f"{where} has two {what}, {both}", part, index, fix="Keep one")
            seen[of[one.site]] = one.name
    trails: dict[str, str] = {}
    for index, trail in enumerate(platform.trails):
        if accounts[trail.site] in trails:
            raise FieldError(
                f"the account of {trail.site} has two trails, `{trails[accounts[trail.site]]}` and `{trail.name}`",
                *("trails", index),
                fix="One trail covers all regions of an account: keep one",
            )
        trails[accounts[trail.site]] = trail.name
    pairs: set[tuple[str, str]] = set()
    for index, guardrail in enumerate(platform.guardrails):
        if (guardrail.site, guardrail.class_) in pairs:
            raise FieldError(
                f"class {guardrail.class_} has two guardrails at {guardrail.site}", *("guardrails", index)
            )
        pairs.add((guardrail.site, guardrail.class_))


def _accounts(platform: Platform) -> dict[str, str]:
    """The account of each site, by its name: as stated, else its role's, else the one of the credentials in use."""
    own = "the credentials' own"
    return {
        site.name: site.account_id or (site.assume_role.split(":")[4] if site.assume_role else own)
        for site in platform.sites
    }


def boundaries_are_the_accounts(platform: Platform) -> None:
    """A policy bounds roles of its own account only."""
    sites = {site.name: site for site in platform.sites}
    for part in ("sites", "identities"):
        for index, one in enumerate(getattr(platform, part)):
            site = sites[one.name if part == "sites" else one.site]
            bound = one.permissions_boundary
            if bound and site.account_id and bound.split(":")[4] != site.account_id:
                what = f"`{bound}` is not a policy of {site.name}'s account {site.account_id}"
                raise FieldError(
                    what, *(part, index, "permissions_boundary"), fix="Name a policy of that account"
                )


def identities_are_vouched_for(platform: Platform) -> None:
    """Each identity has a trust, each trust what it needs; certificates are of a private authority."""
    by_certificate = [one for one in enumerate(platform.identities) if one[1].assumed_by == "roles-anywhere"]
    for index, identity in by_certificate:
        if identity.trust is None:
            raise FieldError(
                f"nothing vouches for identity {identity.name}: no trust is named",
                *("identities", index, "trust"),
                fix="Name one of `trust`; access keys are not an alternative",
                refused=True,
            )
    trusts = {one.name: (index, one) for index, one in enumerate(platform.trust)}
    for index, trust in enumerate(platform.trust):
        path = ("trust", index)
        if trust.mode == "existing" and trust.trust_anchor is None:
            raise FieldError(
                f"the existing trust {trust.name} names no trust_anchor", *(*path, "trust_anchor")
            )
        if trust.mode == "manage" and (trust.ca_certificates is None) == (trust.acm_pca is None):
            raise FieldError(
                f"trust {trust.name} names {'no authority' if trust.acm_pca is None else 'two authorities'}:"
                " it needs ca_certificates or acm_pca, one of the two",
                *(*path, "ca_certificates"),
                fix="Give the PEM of the authority that signs the translators' certificates, or the ARN of one of"
                " ACM's",
            )
        if trust.mode == "manage" and trust.ca_certificates is not None:
            from isthmus.contracts.reference import certificate_authorities

            try:
                certificate_authorities.check_ca(trust.ca_certificates, "")
            except IsthmusError as error:
                no = error.exit_code == 1
                raise FieldError(error.what, *(*path, "ca_certificates"), fix=error.fix, refused=no) from None
    for index, identity in by_certificate:
        _, trust = trusts[identity.trust or ""]
        path = ("identities", index)
        if trust.mode == "off":
            raise FieldError(f"the trust of identity {identity.name} is off", *(*path, "trust"), refused=True)
        if trust.issuer is None and identity.certificate_secret is None:
            raise FieldError(
                f"identity {identity.name} has no certificate: no issuer, no Secret",
                *(*path, "certificate_secret"),
                fix=f"Name `issuer` in trust {trust.name}, or a certificate_secret here",
            )
    images = {"translator": ("translator", platform.identities)}
    images["credential_helper"] = ("credential helper", [identity for _, identity in by_certificate])
    for name, (words, needed_by) in images.items():
        if needed_by and getattr(platform.images, name) is None:
            raise FieldError(
                f"no image of the {words} is named, and a translator has an AWS identity",
                *("images", name),
                fix="Name `images.registry`, where those of images.lock.yaml are, or this one by digest",
            )


def authorities_hold(platform: Platform, today: datetime.date, file: str | None = None) -> list[str]:
    """A line for each authority that ends soon; `Refused` for one that does not hold today.

    Not one of `CHECKS`: what is valid does not change with the day.
    """
    from isthmus.contracts.reference import certificate_authorities

    lines: list[str] = []
    for trust in platform.trust:
        if trust.mode == "manage" and trust.ca_certificates:
            where = str(Where(file, None, f"trust[{trust.name}].ca_certificates"))
            facts = certificate_authorities.check_ca(trust.ca_certificates, where)
            lines += [
                f"{where}: '{each.subject}' ends on {each.not_after:%Y-%m-%d}, and all access with it"
                for each in certificate_authorities.check_current(facts, today, where)
            ]
    return lines


def logs_and_trails_follow_the_strictest(platform: Platform) -> None:
    """Content is logged only where every class there may keep it; nobody but public work goes untrailed."""
    for index, logging in enumerate(platform.invocation_logging):
        held = _cloud_classes(platform, logging.site)
        silent = [one for one in held if handling.of(one).content_days_max == 0]
        if logging.mode == "manage" and logging.text and (silent or not held):
            raise FieldError(
                f"the log of calls at {logging.site} would keep prompts and answers of {' and '.join(silent)} work",
                *("invocation_logging", index, "text"),
                fix="Say `text: false`: it is one log for all classes of the account and region",
                refused=True,
            )
        _kept_long_enough(logging.retention_days, held, "invocation_logging", index, "retention_days")
    sites = {trail.site: (index, trail) for index, trail in enumerate(platform.trails)}
    accounts = _accounts(platform)
    for site in [site for site in platform.sites if site.kind == "aws"]:
        held = _classes_in(platform, site.name)
        trailed = [found for found in sites.values() if accounts[found[1].site] == accounts[site.name]]
        live = [found for found in trailed if found[1].mode != "off"]
        if any(one != "public" for one in held) and not live:
            where = ("trails", trailed[0][0], "mode") if trailed else ("trails",)
            what = f"no trail records what is done in the account of {site.name}"
            raise FieldError(
                what, *where, fix="Say `manage`, or `existing` for the organisation's trail", refused=True
            )
    for index, trail in enumerate(platform.trails):
        if trail.mode == "manage":
            held = _classes_in(platform, trail.site)
            _kept_long_enough(trail.retention_days, held, "trails", index, "retention_days")
            if not platform.contacts.security:
                raise FieldError(
                    "nobody is told when the trail is switched off: contacts.security is empty",
                    *("contacts", "security"),
                    fix="Name the address of a group",
                )


def budgets_mean_something(platform: Platform) -> None:
    """A budget is over what there is, once; someone is told; a denial has an identity to deny."""
    classes = {endpoint.class_ for endpoint in platform.endpoints}
    workloads = {workload.name for gateway in platform.gateways for workload in gateway.workloads}
    there = {"platform": {platform.name}, "class": classes, "workload": workloads}
    seen: set[tuple[str, str, str]] = set()
    for index, budget in enumerate(platform.budgets):
        path = ("budgets", index)
        if budget.of not in there[budget.scope]:
            listed = ", ".join(sorted(there[budget.scope]))
            raise FieldError(
                f"`{budget.of}` is no {budget.scope} here", *(*path, "of"), fix=f"Known: {listed}"
            )
        if (budget.site, budget.scope, budget.of) in seen:
            raise FieldError(f"{budget.scope} {budget.of} has two budgets at {budget.site}", *path)
        seen.add((budget.site, budget.scope, budget.of))
        if budget.action == "deny" and not any(
            _denied(platform, budget.scope, budget.of, one)
            for one in platform.identities
            if one.site == budget.site
        ):
            whom = f"no identity at {budget.site} serves {budget.scope} {budget.of}"
            what = f"budget {budget.name} would deny, and {whom}"
            fix = "Say `action: none`, or give it the site whose account has that identity"
            raise FieldError(what, *(*path, "action"), fix=fix)
    anomalies = platform.anomalies
    if anomalies.monitor is not None and anomalies.mode != "existing":
        raise FieldError(
            f"anomalies names a monitor and says `mode: {anomalies.mode}`",
            *("anomalies", "monitor"),
            fix="Say `mode: existing` to be told what that monitor finds, or leave the monitor out",
        )
    heard = anomalies.mode == "manage" or anomalies.monitor is not None
    if (platform.budgets or heard) and not platform.contacts.cost:
        what = "nobody is told of a budget that ends: contacts.cost is empty"
        raise FieldError(what, *("contacts", "cost"), fix="Name the address of a group")


def languages_of(platform: Platform, guardrail: Guardrail) -> list[str]:
    """Languages of what a guardrail looks at: as stated, else those of the screenings before it, else English."""
    if guardrail.languages:
        return list(guardrail.languages)
    users = {each.name for each in platform.identities if each.guardrail == guardrail.name}
    spoken = [
        language
        for gateway in platform.gateways
        if gateway.identity in users and gateway.screening is not None
        for language in gateway.screening.spoken
    ]
    return list(dict.fromkeys(spoken)) or ["en"]


def tier_of(platform: Platform, guardrail: Guardrail) -> str:
    """The tier of a guardrail: as stated, else the one that knows its languages."""
    if guardrail.tier is not None:
        return guardrail.tier
    missed = guardrail_tiers.unfiltered(languages_of(platform, guardrail))
    return "standard" if set(missed) - set(guardrail.unfiltered_languages) else "classic"


def guardrails_know_the_languages(platform: Platform) -> None:
    """A guardrail filters each language of its class, and looks at content where the class's workloads may be."""
    for index, guardrail in enumerate(platform.guardrails):
        if guardrail.mode != "manage":
            continue
        path = ("guardrails", index)
        missed = guardrail_tiers.unfiltered(languages_of(platform, guardrail))
        open_ = [each for each in missed if each not in guardrail.unfiltered_languages]
        if tier_of(platform, guardrail) == "classic":
            if open_:
                raise FieldError(
                    f"guardrail {guardrail.name} is of the Classic tier, which does not filter {', '.join(open_)}",
                    *(*path, "tier"),
                    fix="Say `tier: standard`, or name them in unfiltered_languages if that is decided",
                )
            continue
        try:
            profile, regions = guardrail_tiers.profile(platform.site(guardrail.site).region or "")
        except InputError as unknown:
            raise FieldError(unknown.what, *(*path, "tier"), fix=unknown.fix) from None
        for workload in _looked_at(platform, guardrail):
            for region in regions:
                place = jurisdictions.of_region(region)
                if workload.residency and not jurisdictions.meets(place, workload.residency):
                    raise FieldError(
                        f"guardrail {guardrail.name} looks at {', '.join(missed) or 'content'} by {profile}, in "
                        f"{region} too: workload {workload.name} may be in {', '.join(workload.residency)} only",
                        *(*path, "tier"),
                        fix="Say `tier: classic`, and name in unfiltered_languages what it does not filter",
                        refused=True,
                    )


def _looked_at(platform: Platform, guardrail: Guardrail) -> list[Workload]:
    """Workloads whose calls name the guardrail."""
    called = {
        identity.name: set(identity.endpoints)
        for identity in platform.identities
        if identity.guardrail == guardrail.name
    }
    return [
        workload
        for gateway in platform.gateways
        if gateway.identity in called
        for workload in gateway.workloads
        if set(workload.reaches) & called[gateway.identity]
    ]


def _denied(platform: Platform, scope: str, of: str, identity: Identity) -> bool:
    """Whether a budget's denial has this identity to deny: its class's, or that of one workload alone."""
    if scope == "class":
        return identity.class_ == of
    served = {
        workload.name
        for gateway in platform.gateways
        if gateway.identity == identity.name
        for workload in gateway.workloads
    }
    return scope == "workload" and served == {of}


def tags_are_taken(platform: Platform) -> None:
    """AWS takes every tag: it names none of AWS's own, and has letters, digits and some signs only."""
    if len(platform.tags) > TAGS:
        raise FieldError(
            f"{len(platform.tags)} tags, and AWS takes 50 of a resource, some of which are Isthmus's own",
            "tags",
            fix=f"Name {TAGS} at most",
        )
    own = {"isthmus-platform": platform.name, "isthmus-blueprint": platform.blueprint}
    for key, value in platform.tags.items():
        if key.lower().startswith(("isthmus-", "isthmus.dev/")) and own.get(key) != value:
            what = f"the tag `{key}` is Isthmus's own: budgets, and the search for what is lost, go by it"
            raise FieldError(what, "tags", key, fix="Name it otherwise")
        if key.lower().startswith("aws:"):
            raise FieldError(f"the tag `{key}` begins as AWS's own do", "tags", key, fix="Name it otherwise")
        if (
            not _TAG.fullmatch(key)
            or len(key) > 128
            or (value and not _TAG.fullmatch(value))
            or len(value) > 256
        ):
            raise FieldError(
                f"AWS takes no tag `{key}: {value}`",
                *("tags", key),
                fix="Use letters, digits, blanks and _.:/=+-@, 128 of them in a key and 256 in a value at most",
            )
    counted = platform.anomalies.mode == "manage" or any(one.scope == "platform" for one in platform.budgets)
    if counted and "isthmus-platform" not in platform.tags:
        what = "the tag `isthmus-platform`, by which the platform's budget and its anomalies are counted, is missing"
        raise FieldError(
            what, "tags", fix=f"Say `isthmus-platform: {platform.name}`, or leave out what takes it away"
        )


def _cloud_classes(platform: Platform, site: str) -> list[str]:
    """Classes of the endpoints on Bedrock at a site: the log of calls is Bedrock's alone, a trail all's."""
    return sorted({one.class_ for one in platform.endpoints if one.site == site and one.target == "bedrock"})


def _classes_in(platform: Platform, site: str) -> list[str]:
    """Classes whose models are at an AWS site, whoever serves them."""
    return sorted({one.class_ for one in platform.endpoints if one.site == site})


def _kept_long_enough(days: int, classes: Iterable[str], *path: str | int) -> None:
    for one in classes:
        least = handling.of(one).records_months_min * 365 // 12
        if days < least:
            what = f"{days} days, and class {one} keeps records {least} days"
            raise FieldError(what, *path, fix=f"Say {least} or more", refused=True)


CHECKS: tuple[Callable[[Platform], None], ...] = (
    aws_names,
    boundaries_are_the_accounts,
    identities_are_vouched_for,
    logs_and_trails_follow_the_strictest,
    budgets_mean_something,
    guardrails_know_the_languages,
    tags_are_taken,
)
