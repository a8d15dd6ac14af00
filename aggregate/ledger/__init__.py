"""The privacy ledger: what was planned, charged and answered. Append-only, hash-chained, exact.

Reserve, then draw, then store the answer, then publish: a crash at any point loses budget at worst, never privacy.
A plan is the key of what it spends: asked again, the stored answer comes back byte for byte.
"""

from aggregate.ledger.book import BudgetLine, Ledger
from aggregate.ledger.tables import APPEND_ONLY, METADATA
from aggregate.ledger.verification import Fault, Part

__all__ = ["APPEND_ONLY", "METADATA", "BudgetLine", "Fault", "Ledger", "Part"]
