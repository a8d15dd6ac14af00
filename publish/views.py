"""`views.sql`: DuckDB views over the Parquet files of a release, documented, and macros that show a number with its interval."""

from statistics import NormalDist

from publish.content import ordered_tables, release_id
from publish.parquet import SYNTHETIC_NOTICE
from schemas.stages import MeasuredRelease
from schemas.tables import TABLES, columns

_MACROS = """\
-- A number as text, with its interval: SELECT with_interval(estimate, ci_low, ci_high) FROM risk_profile;
CREATE OR REPLACE MACRO with_interval(value, low, high) AS
  CASE WHEN value IS NULL THEN NULL ELSE printf('%.1f (%.1f to %.1f)', value, low, high) END;
-- The same for a rate, in percent.
CREATE OR REPLACE MACRO rate_with_interval(value, low, high) AS
  CASE WHEN value IS NULL THEN NULL ELSE printf('%.1f %% (%.1f to %.1f)', 100 * value, 100 * low, 100 * high) END;
-- Interval of the privacy noise alone, without sampling: what is known of this pool, not of other conversations.
CREATE OR REPLACE MACRO noise_interval(value, noise_stddev) AS
  struct_pack(low := value - {z:.6f} * noise_stddev, high := value + {z:.6f} * noise_stddev);
"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def views_sql(measured: MeasuredRelease) -> str:
    """SQL for DuckDB, to be run in the release folder (or with `SET file_search_path` to it): `duckdb -init views.sql`."""
    lines = [f"-- Incident Commons, release {release_id(measured.quarter, measured.version)}. Run in the release folder."]
    if measured.plan.synthetic:
        lines.append(f"-- {SYNTHETIC_NOTICE}")
    lines += [
        "-- Submitted conversations, not prevalence. C-SSRS-informed, inferred from text. An association is not an effect.",
        "",
    ]
    for table in ordered_tables(measured):
        spec = TABLES[table.name]
        lines.append(f"CREATE OR REPLACE VIEW {table.name} AS SELECT * FROM read_parquet({_quoted(data_path(table.name))});")
        lines.append(f"COMMENT ON VIEW {table.name} IS {_quoted(f'{spec.title}. One row: {spec.row}.')};")
        for column in columns(table.name, measured.plan.release_plan):
            told = f"{column.description} [{column.unit}]" if column.unit else column.description
            lines.append(f"COMMENT ON COLUMN {table.name}.{column.name} IS {_quoted(told)};")
        lines.append("")
    z = NormalDist().inv_cdf((1 + measured.plan.privacy.confidence) / 2)
    return "\n".join(lines) + "\n" + _MACROS.format(z=z)


def data_path(table: str) -> str:
    """Where a table lies in the release folder."""
    return f"data/{table}/{table}.parquet"
