"""The ledger is append-only in the database itself, and each of its steps stands in it once."""

from alembic import op

from flows.migrations.append_only import make_refusal, refuse_changes

revision = "0002"
down_revision = "0001"

_KEYS = {"plans": ("hash",), "ledger": ("number", "plan, quarter, kind"), "answers": ("plan",)}


def upgrade() -> None:
    """An index that allows each step of a plan once, and triggers that refuse to change, replace or remove a row."""
    op.create_index("ledger_once", "ledger", ["plan", "quarter", "kind"], unique=True)
    make_refusal()
    for table, keys in _KEYS.items():
        refuse_changes(table, *keys)
