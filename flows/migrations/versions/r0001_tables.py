"""All tables, as they were made before there were migrations: those that are there are left as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables that are missing."""
    op.create_table(
        "submissions",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("company", sa.String(64), nullable=False),
        sa.Column("submission_id", sa.String(64), nullable=False),
        sa.Column("quarter", sa.String(6), nullable=False),
        sa.Column("pseudonym_key_id", sa.String(64), nullable=False),
        sa.Column("kept", sa.Integer, nullable=False),
        sa.Column("users", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("receipt", sa.JSON, nullable=False),
        sa.UniqueConstraint("company", "submission_id"),
        if_not_exists=True,
    )
    op.create_table(
        "intake_audit",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("company", sa.String(64), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "plans",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("quarter", sa.String(6), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "ledger",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("quarter", sa.String(6), nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("rho", sa.String, nullable=False),
        sa.Column("delta", sa.String, nullable=False),
        sa.Column("at", sa.String(20), nullable=False),
        sa.Column("answer", sa.String(64), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "answers",
        sa.Column("plan", sa.String(64), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "releases",
        sa.Column("quarter", sa.String(6), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("plan_hash", sa.String(64), nullable=False),
        sa.Column("tables_digest", sa.String(64)),
        if_not_exists=True,
    )
    op.create_table(
        "checks",
        sa.Column("quarter", sa.String(6), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("stops", sa.Boolean, nullable=False),
        sa.Column("detail", sa.String, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "signoffs",
        sa.Column("quarter", sa.String(6), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("role", sa.String(16), primary_key=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("signed_at", sa.String(40), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False),
        sa.UniqueConstraint("quarter", "version", "person"),
        if_not_exists=True,
    )
    op.create_table(
        "purges",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("room", sa.String(16), nullable=False),
        sa.Column("quarter", sa.String(6), nullable=False),
        sa.Column("company", sa.String(64), nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        if_not_exists=True,
    )
