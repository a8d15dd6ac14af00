"""Migrations of the state database, by Alembic. A new one is a file in `versions/`, and its name in `HEAD`."""

HEAD = "0003"
"""The version of the state database that this program works with: its newest migration."""
