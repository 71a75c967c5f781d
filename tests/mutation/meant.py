"""Which policies are meant for which fault, by their ids."""

from __future__ import annotations

FAMILY_OF: dict[str, str] = {
    "workload-hardening": "workload",
    "hardening": "workload",
    "model-release": "release",
}
"""Families of policies that the operators call otherwise."""
POLICIES: dict[str, frozenset[str]] = {}
"""Operator → policies of which one must find it. An operator that is not here: any policy of a family that it is
meant for."""
