"""Arguments that a component refuses: hosted components get plain dicts, which no type checker has seen."""

import ipaddress
from typing import Any

from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES, Target
from isthmus.core.errors import InputError, Refused

MODES = ("manage", "existing", "off")


def one_of(value: str, allowed: tuple[str, ...], where: str) -> str:
    """`value`, if it is one of `allowed`."""
    if value not in allowed:
        raise InputError(f"'{value}' is not known", where=where, fix=f"Allowed: {', '.join(allowed)}")
    return value


def sensitivity(value: str, where: str) -> str:
    return one_of(value, SENSITIVITIES, f"{where}.sensitivity")


def may_use_aws(value: str, where: str, exception: str = "", target: Target = "bedrock") -> None:
    """Refuses a class whose prompts must not reach that target; `exception`, recorded, lets confidential ones."""
    held = handling.of(value)
    if target not in held.targets and not (target in held.by_exception and exception):
        open_to = [known for known in SENSITIVITIES if target in handling.of(known).targets]
        raise Refused(
            f"the {value} class may have no AWS identity: its prompts must not reach AWS",
            where=where,
            fix=f"Serve it on-prem; classes that may use AWS: {', '.join(open_to)}",
        )


def network(cidr: str, where: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """An address range; a host name is refused, since a network policy cannot hold it to anything."""
    try:
        return ipaddress.ip_network(cidr)
    except ValueError as bad:
        raise InputError(
            f"'{cidr}' is not an address range ({bad})",
            where=where,
            fix="Name destinations by CIDR and port, e.g. 10.40.7.0/24 and 443; a host name is not enough",
        ) from None


def within(cidr: str, allowed: list[str], where: str) -> None:
    """Refuses a range that is not inside one of `allowed`."""
    wanted = network(cidr, where)
    for outer in allowed:
        held = network(outer, where)
        if wanted.version == held.version and wanted.subnet_of(held):  # type: ignore[arg-type]
            return
    raise Refused(
        f"{cidr} is not inside the site's networks ({', '.join(allowed) or 'none are named'})",
        where=where,
        fix="A restricted gateway reaches named on-prem destinations only",
    )


def without_outputs(value: Any) -> Any:
    """A component's arguments less what other resources have yet to give."""
    if isinstance(value, dict):
        return {key: without_outputs(item) for key, item in value.items() if not _is_output(item)}
    if isinstance(value, list):
        return [without_outputs(item) for item in value if not _is_output(item)]
    return value


def _is_output(value: Any) -> bool:
    from pulumi import Output

    return isinstance(value, Output)
