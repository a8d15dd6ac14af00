"""`views.sql`: DuckDB views over the Parquet files of releases, and macros that carry the noise. Nothing of ours is needed to run it."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from publish.content import ordered_tables, release_id
from publish.parquet import SYNTHETIC_NOTICE
from publish.templating import render
from schemas.derived_tables import COVARIANCE, OWN_COLUMNS, TERMS
from schemas.keys import ALL, KEYS
from schemas.stages import MeasuredRelease
from schemas.tables import TABLES, columns

READING = "Submitted conversations, not prevalence. C-SSRS-informed, inferred from text. An association is not an effect."


def data_path(table: str) -> str:
    """Where a table lies in the release folder."""
    return f"data/{table}/{table}.parquet"


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def views_sql(measured: MeasuredRelease) -> str:
    """SQL for DuckDB, to be run in the release folder (or with `SET file_search_path` to it): `duckdb -init views.sql`."""
    plan = measured.plan
    lines = [f"-- Incident Commons, release {release_id(measured.quarter, measured.version)}. Run in the release folder."]
    lines += [*([f"-- {SYNTHETIC_NOTICE}"] if plan.synthetic else []), f"-- {READING}", ""]
    names = [table.name for table in ordered_tables(measured)]
    for name in names:
        spec, declared = TABLES[name], columns(name, plan.release_plan)
        lines.append(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({quoted(data_path(name))});")
        lines.append(f"COMMENT ON VIEW {name} IS {quoted(f'{spec.title}. One row: {spec.row}.')};")
        for column in declared:
            told = f"{column.description} [{column.unit}]" if column.unit else column.description
            lines.append(f"COMMENT ON COLUMN {name}.{column.name} IS {quoted(told)};")
        lines += [*cells_view(name, [column.name for column in declared]), ""]
    return "\n".join(lines) + "\n" + macros_sql(plan.privacy.confidence, plan.privacy.too_noisy_ratio, names)


def macros_sql(confidence: float, ratio: float, tables: Sequence[str]) -> str:
    """The macros, for intervals of a confidence; a sum below `ratio` deviations of its noise is too noisy to stand alone.

    Those that need `noise_covariance` are left out where `tables` has none.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    shown = _scalar_macros(z)
    if COVARIANCE not in tables:
        return shown
    return shown + render(
        "macros.sql.j2",
        all=ALL,
        z=repr(z),
        ratio=repr(ratio),
        confidence=f"{100 * confidence:.4g}",
        pairs=[(i, j) for i in range(1, 5) for j in range(i, 5)],
        crossed=[(1, 3), (1, 4), (2, 3), (2, 4)],
    )


def _scalar_macros(z: float) -> str:
    return f"""\
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


def cells_view(table: str, names: Sequence[str], source: str = "") -> Iterator[str]:
    """The view that the macros read a table through: its columns, and for each row its measure, marginal and codes.

    Args:
        table: the table; the view is `_cells_of_<table>`, or `_cells_of<source>` where there is a source.
        names: its columns. Those that are keys tell its marginals.
        source: another view of the same columns to read.
    """
    if table in OWN_COLUMNS:
        return
    keys = [name for name in names if name in KEYS]
    rate_keys = [key for key in (TABLES[table].rate_keys if table in TABLES else ()) if key in keys]
    first = "".join(f" WHEN {key} <> {quoted(ALL)} THEN {quoted(key)}" for key in rate_keys)
    opened = "".join(
        f" WHEN {quoted(key)} THEN {key} IN ({', '.join(quoted(code) for code in sorted(KEYS[key].open_codes))})"
        for key in rate_keys
        if KEYS[key].open_codes
    )
    kind, window = (f'"{name}"' if name in names else quoted(ALL) for name in ("outcome_kind", "window"))
    yield f"CREATE OR REPLACE VIEW _cells_of{source or '_' + table} AS SELECT *, {quoted(table)} AS _table, {kind} AS _kind, {window} AS _window,"
    yield f"  {_listed(f'CASE WHEN {key} <> {quoted(ALL)} THEN {quoted(key)} END' for key in keys)} AS _marginal,"
    yield f"  {_listed(f'nullif({key}, {quoted(ALL)})' for key in keys)} AS _codes,"
    yield f"  CASE{first} ELSE '' END AS _rate_key," if first else "  '' AS _rate_key,"
    yield f"  CASE _rate_key{opened} ELSE false END AS _open," if opened else "  false AS _open,"
    lines = ", ".join(f"CASE WHEN _rate_key <> {quoted(key)} THEN {key} END" for key in keys)
    yield f"  concat_ws('|', {lines or quoted('')}) AS _line,"
    pairs = (f"CASE WHEN {key} <> {quoted(ALL)} THEN {quoted(key + '=')} || {key} END" for key in keys)
    yield f"  list_sort({_listed(pairs)}) AS _pairs"
    yield f"FROM {source or table};"


def _listed(entries: Iterator[str]) -> str:
    """A list of the entries that are not null. Codes hold no comma."""
    joined = f"concat_ws(',', {', '.join(entries)})"
    return f"CASE WHEN {joined} = '' THEN []::VARCHAR[] ELSE string_split({joined}, ',') END"


def catalog_views_sql(catalog: Mapping[str, Any], prefix: str = "") -> str:
    """SQL for DuckDB over all releases, to be run in the folder of the releases.

    Every table is a view over the latest version of each quarter; after `SET VARIABLE as_of = '2026Q3/v1'` it is what was
    the latest when that release came out, for the macros too. `as_of(table, release)` tells the same of one table; `history_of_cell` and `history_of_term` tell what each
    release said of one cell or term, those that were superseded too.

    Args:
        catalog: what `catalog.json` holds, of one release at least.
        prefix: what stands before each path, with its slash.
    """
    entries = sorted(catalog["releases"], key=lambda e: (e["approved_at"], e["quarter"], e["version"]))
    lines = ["-- Incident Commons, all releases. Run in the folder that holds catalog.json."]
    lines += [*([f"-- {SYNTHETIC_NOTICE}"] if any(e["synthetic"] for e in entries) else []), f"-- {READING}", ""]
    rows = ",\n".join(
        f"  ({place}, {quoted(e['release'])}, {quoted(e['quarter'])}, {e['version']}, {quoted(e['approved_at'])}, {quoted(e['schema_version'])}, "
        f"{str(e['synthetic']).lower()}, {quoted(e['reason'])})"
        for place, e in enumerate(entries, start=1)
    )
    lines += [
        "-- Every release, in the order in which they came out.",
        f"CREATE OR REPLACE VIEW releases AS SELECT * FROM (VALUES\n{rows}\n) AS r(place, release, quarter, version, approved_at, schema_version, synthetic, reason);",
        render("as_of.sql.j2"),
    ]
    there = {name for entry in entries for name in entry["tables"]}
    tables = [*(name for name in TABLES if name in there), *sorted(there - set(TABLES))]
    for table in tables:
        of_releases = [e for e in entries if table in e["tables"]]
        names = list(dict.fromkeys(name for entry in reversed(of_releases) for name in entry["tables"][table]))
        lines += [*_versions_view(table, names, of_releases, prefix), *cells_view(table, names)]
        lines += [*cells_view(table, names, f"_versions_of_{table}"), ""]
    lines.append(render("history.sql.j2", terms=TERMS if TERMS in tables else ""))
    return "\n".join(lines) + "\n" + macros_sql(entries[-1]["confidence"], entries[-1]["too_noisy_ratio"], tables)


def _versions_view(table: str, names: Sequence[str], releases: Sequence[Mapping[str, Any]], prefix: str) -> Iterator[str]:
    # A key that an earlier release did not have was summed over in it.
    shown = ", ".join(f"coalesce({name}, {quoted(ALL)}) AS {name}" if name in KEYS else f'"{name}"' for name in names)
    paths = [(entry["release"], f"{prefix}{entry['path']}/{data_path(table)}") for entry in releases]
    parts = "\n  UNION ALL BY NAME\n".join(
        f"  SELECT {quoted(release)} AS release, * FROM read_parquet({quoted(path)})" for release, path in paths
    )
    yield f"CREATE OR REPLACE VIEW _versions_of_{table} AS SELECT release, {shown} FROM (\n{parts}\n);"
    yield f"CREATE OR REPLACE VIEW {table} AS SELECT * EXCLUDE (release) FROM _versions_of_{table} WHERE release IN (SELECT release FROM current_releases);"
    if table in TABLES:
        yield f"COMMENT ON VIEW {table} IS {quoted(f'{TABLES[table].title}. One row: {TABLES[table].row}.')};"
