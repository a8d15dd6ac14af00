"""Tables of the ledger.

The pool makes and upgrades them by migrations (`flows/migrations`), which have the database itself refuse to change or
remove what stands in them.
"""

from sqlalchemy import JSON, Column, Index, Integer, LargeBinary, MetaData, String, Table

METADATA = MetaData()

PLANS = Table(
    "plans",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("quarter", String(6), nullable=False),
    Column("version", Integer, nullable=False),
    Column("body", JSON, nullable=False),
)

ENTRIES = Table(
    "ledger",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),  # plan, reserve, answer
    Column("plan", String(64), nullable=False),
    Column("quarter", String(6), nullable=False),  # the data quarter that is charged
    Column("year", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("rho", String, nullable=False),  # exact rationals as text
    Column("delta", String, nullable=False),
    Column("at", String(20), nullable=False),
    Column("answer", String(64), nullable=False),  # digest of the stored answer, or empty
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ledger_once", "plan", "quarter", "kind", unique=True),  # registered, charged and answered once
)

ANSWERS = Table(
    "answers",
    METADATA,
    Column("plan", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

APPEND_ONLY = tuple(sorted(METADATA.tables))
