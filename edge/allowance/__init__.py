"""Limits of teams and workloads, which all replicas of a gateway count together."""

from edge.allowance.allowances import Allowances, Reservation
from edge.allowance.estimate import estimate, tokens_of_choices
from edge.allowance.ledger import Ledger

__all__ = ["Allowances", "Ledger", "Reservation", "estimate", "tokens_of_choices"]
