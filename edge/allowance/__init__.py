"""Limits of teams, workloads, keys and people, which all replicas of a gateway count together."""

from edge.allowance.allowances import Allowances, Reservation
from edge.allowance.estimate import estimate, tokens_of_choices
from edge.allowance.ledger import Ledger
from edge.allowance.parallel import Parallel

__all__ = ["Allowances", "Ledger", "Parallel", "Reservation", "estimate", "tokens_of_choices"]
