"""Names and partitions: AWS names within AWS's limits, the same in every run."""

import hashlib
import re

import pulumi


def aws_name(name: str, max_length: int, *distinguishers: object) -> str:
    """`name` with an eight-digit suffix, at most `max_length` characters of `[0-9a-zA-Z-]`.

    The digits distinguish the stacks of an account, and settings that replace a resource: old and new one exist
    together for a while, and AWS accepts a name once. Pulumi's own names may be longer than AWS allows (guardrails
    50, roles 64, inference profiles 64, provisioned throughput 63). This name is truncated instead. Because the
    name is known before creation, a resource can be found after an interrupted creation.
    """
    identity_parts = (pulumi.get_project(), pulumi.get_stack(), name, *distinguishers)
    digits = hashlib.sha256("\x00".join(map(str, identity_parts)).encode()).hexdigest()[:8]
    prefix = re.sub(r"[^0-9a-zA-Z]+", "-", name)[: max_length - 9].strip("-")
    return f"{prefix}-{digits}" if prefix else digits


def aws_name_of_any_stack(name: str, max_length: int) -> str:
    """`aws_name` with `?` instead of its digits, as a pattern for policies: everything of another stack's name
    except the digits is known before creation.
    """
    return f"{aws_name(name, max_length)[:-8]}{'?' * 8}"


def logical_name(name: str, max_length: int) -> str:
    """A logical name that is short enough for Pulumi's name of the resource, which has eight more characters.

    For resources that need a new name after a destroy, because the earlier one is retained.
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
