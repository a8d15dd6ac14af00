"""The ledger is append-only in the database itself, and each of its steps stands in it once."""

from alembic import op

revision = "0002"
down_revision = "0001"

_REFUSAL = "This table is append-only."
_KEYS = {"plans": ("hash",), "ledger": ("number", "plan, quarter, kind"), "answers": ("plan",)}


def upgrade() -> None:
    """An index that allows each step of a plan once, and triggers that refuse to change, replace or remove a row."""
    op.create_index("ledger_once", "ledger", ["plan", "quarter", "kind"], unique=True)
    if op.get_bind().dialect.name == "sqlite":
        for table, keys in _KEYS.items():
            _refuse_on_sqlite(table, keys)
    else:
        op.execute(
            "create function append_only() returns trigger language plpgsql as "
            f"$$ begin raise exception '{_REFUSAL}' using errcode = 'restrict_violation'; end $$"
        )
        for table in _KEYS:
            op.execute(
                f"create trigger append_only before update or delete on {table} for each row execute function append_only()"
            )
            op.execute(f"create trigger no_truncate before truncate on {table} for each statement execute function append_only()")


def _refuse_on_sqlite(table: str, keys: tuple[str, ...]) -> None:
    # `insert or replace` removes the row in its way without a word to triggers on delete, so that is refused as an insert.
    taken = " or ".join(f"exists (select 1 from {table} where ({key}) = (new.{key.replace(', ', ', new.')}))" for key in keys)
    for name, event in (("update", "update"), ("delete", "delete"), ("replace", "insert")):
        when = f"when {taken}" if event == "insert" else ""
        op.execute(
            f"create trigger {table}_no_{name} before {event} on {table} {when} begin select raise(abort, '{_REFUSAL}'); end"
        )
