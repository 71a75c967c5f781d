"""What teams and workloads may use, counted together by all copies of a gateway."""

from edge.allowance.allowances import Allowances, Reservation
from edge.allowance.estimate import estimate, tokens_of_choices
from edge.allowance.ledger import Ledger

__all__ = ["Allowances", "Ledger", "Reservation", "estimate", "tokens_of_choices"]
