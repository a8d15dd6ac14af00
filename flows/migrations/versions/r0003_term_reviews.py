"""Reviewers' decisions on found terms, append-only in the database itself."""

import sqlalchemy as sa
from alembic import op

from flows.migrations.append_only import refuse_changes

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """The table, and triggers that refuse to change, replace or remove a row of it."""
    op.create_table(
        "term_reviews",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("speaker", sa.String(16), nullable=False),
        sa.Column("term", sa.String, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("decided_at", sa.String(40), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        if_not_exists=True,
    )
    refuse_changes("term_reviews", "number")
