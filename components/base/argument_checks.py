"""Checks of component arguments: hosted components get plain dicts that no type checker has seen."""

import ipaddress
from typing import Any

from isthmus.contracts.reference import handling
from isthmus.contracts.vocabulary import SENSITIVITIES, Target
from isthmus.core.errors import InputError, Refused

MODES = ("manage", "existing", "off")


def check_choice(value: str, allowed: tuple[str, ...], where: str) -> str:
    """Return `value`. Raises `InputError` if it is not one of `allowed`."""
    if value not in allowed:
        raise InputError(f"'{value}' is not known", where=where, fix=f"Allowed: {', '.join(allowed)}")
    return value


def check_sensitivity(value: str, where: str) -> str:
    return check_choice(value, SENSITIVITIES, f"{where}.sensitivity")


def may_use_aws(value: str, where: str, exception: str = "", target: Target = "bedrock") -> None:
    """Raise `Refused` for a class whose prompts must not reach `target`. A recorded `exception` allows some."""
    class_handling = handling.handling_of(value)
    if target not in class_handling.targets and not (target in class_handling.by_exception and exception):
        *others, last = class_handling.targets
        fix = f"Use {', '.join(others)} or {last}" if others else f"Use {last}"
        if target in class_handling.by_exception:
            message = f"class {value} may not use {target} without a recorded exception"
            fix += ", or record an exception"
        elif handling.may_use_aws(class_handling.class_):
            message = f"class {value} may not use {target}"
        else:
            message = f"class {value} may not use {target} or any other target in AWS"
        raise Refused(message, where=where, fix=fix)


def parse_network(cidr: str, where: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Parse an address range. Raises `InputError` for a host name: network policies match addresses only."""
    try:
        return ipaddress.ip_network(cidr)
    except ValueError as bad:
        raise InputError(
            f"'{cidr}' is not an address range ({bad})",
            where=where,
            fix="Give a CIDR and a port, e.g. 10.40.7.0/24 and 443, instead of a host name",
        ) from None


def check_within(cidr: str, allowed: list[str], where: str) -> None:
    """Raise `Refused` for a range that is not inside one of the `allowed` ranges."""
    inner = parse_network(cidr, where)
    for outer in allowed:
        outer_network = parse_network(outer, where)
        if inner.version == outer_network.version and inner.subnet_of(outer_network):  # type: ignore[arg-type]
            return
    raise Refused(
        f"{cidr} is not inside the site's networks ({', '.join(allowed) or 'none are listed'})",
        where=where,
        fix="Use an address inside the site's networks: a restricted gateway reaches on-prem destinations only",
    )


def without_outputs(value: Any) -> Any:
    """A component's arguments without the outputs of other resources, which are not known yet."""
    if isinstance(value, dict):
        return {key: without_outputs(item) for key, item in value.items() if not _is_output(item)}
    if isinstance(value, list):
        return [without_outputs(item) for item in value if not _is_output(item)]
    return value


def _is_output(value: Any) -> bool:
    from pulumi import Output

    return isinstance(value, Output)
