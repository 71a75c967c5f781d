"""Names and partitions: AWS names within AWS's limits, the same at every run."""

import hashlib
import re

import pulumi


def aws_name(name: str, max_length: int, *distinguishers: object) -> str:
    """`name` with eight digits at its end, at most `max_length` characters of `[0-9a-zA-Z-]`.

    The digits tell apart the stacks of one account, and settings that make a new resource: both old and new
    exist for a while, and AWS takes a name once. Where Pulumi's own names may be longer than AWS takes
    (guardrails 50, roles 64, inference profiles 64, provisioned throughput 63), this one is cut instead of refused.
    A name that is known beforehand is also how a resource is found whose creation was cut off.
    """
    identity_parts = (pulumi.get_project(), pulumi.get_stack(), name, *distinguishers)
    digits = hashlib.sha256("\x00".join(map(str, identity_parts)).encode()).hexdigest()[:8]
    prefix = re.sub(r"[^0-9a-zA-Z]+", "-", name)[: max_length - 9].strip("-")
    return f"{prefix}-{digits}" if prefix else digits


def aws_name_of_any_stack(name: str, max_length: int) -> str:
    """`aws_name` with a `?` for each of its digits, as policies match names: what another layer's stack makes is known
    beforehand all but for these."""
    return f"{aws_name(name, max_length)[:-8]}{'?' * 8}"


def logical_name(name: str, max_length: int) -> str:
    """A logical name of which Pulumi's own name, eight characters more, is not longer than AWS takes.

    For what must have another name in each of its lives, since an earlier one is retained.
    """
    return name if len(name) <= max_length - 8 else aws_name(name, max_length - 8)


def partition(region: str) -> str:
    """The AWS partition of a region, e.g. `aws-eusc` for the European Sovereign Cloud."""
    for prefix, partition_name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc")):
        if region.startswith(prefix):
            return partition_name
    return "aws"


def domain(region: str) -> str:
    """The DNS suffix of a region's services."""
    suffixes = {"aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu"}
    return suffixes.get(partition(region), "amazonaws.com")
