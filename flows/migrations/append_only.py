"""Triggers by which the database itself refuses to change, replace or remove a row."""

from alembic import op

_REFUSAL = "This table is append-only."


def make_refusal() -> None:
    """Makes what PostgreSQL's triggers call; SQLite's hold it themselves."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute(
            "create function append_only() returns trigger language plpgsql as "
            f"$$ begin raise exception '{_REFUSAL}' using errcode = 'restrict_violation'; end $$"
        )


def refuse_changes(table: str, *keys: str) -> None:
    """Has a table refuse them; `keys` are its unique keys, each as a list of columns."""
    if op.get_bind().dialect.name == "sqlite":
        _refuse_on_sqlite(table, keys)
    else:
        op.execute(f"create trigger append_only before update or delete on {table} for each row execute function append_only()")
        op.execute(f"create trigger no_truncate before truncate on {table} for each statement execute function append_only()")


def _refuse_on_sqlite(table: str, keys: tuple[str, ...]) -> None:
    # `insert or replace` removes the row in its way without a word to triggers on delete, so that is refused as an insert.
    taken = " or ".join(f"exists (select 1 from {table} where ({key}) = (new.{key.replace(', ', ', new.')}))" for key in keys)
    for name, event in (("update", "update"), ("delete", "delete"), ("replace", "insert")):
        when = f"when {taken}" if event == "insert" else ""
        op.execute(
            f"create trigger {table}_no_{name} before {event} on {table} {when} begin select raise(abort, '{_REFUSAL}'); end"
        )
