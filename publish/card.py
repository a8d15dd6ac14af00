"""The data card: README.md of a release, rendered from plan, parameters and spend, so that it cannot differ from them."""

from collections.abc import Mapping
from typing import Any

from publish.content import ordered_tables, release_id
from publish.parquet import SYNTHETIC_NOTICE
from publish.templating import render
from publish.views import data_path
from schemas.stages import MeasuredRelease
from schemas.tables import ESTIMAND_MEANING, SCHEMA_VERSION, STATUS_MEANING, TABLES, columns


def _measures(measured: MeasuredRelease) -> list[dict[str, Any]]:
    plan = measured.plan
    collected = {measure.name for measure in plan.measured()}
    return [
        {
            "name": measure.name,
            "table": measure.table,
            "estimand": ESTIMAND_MEANING[measure.estimand],
            "outcome": f"{measure.outcome_kind}, {measure.window}" if measure.outcome_kind else "none",
            "marginals": "; ".join(" × ".join(marginal) for marginal in measure.marginals),
            "rho": f"{float(plan.rho_of(measure)):.3g}" if measure.name in collected else "0",
            "bound": f"√{measure.bound(1).strata}" if measure.stratum else "1",
            "collected": measure.name in collected,
        }
        for measure in plan.release_plan.measures
    ]


def _searches(measured: MeasuredRelease) -> list[dict[str, Any]]:
    """The searches for terms, each with what follows the terms that it found."""
    plan = measured.plan
    searched = plan.searched()
    return [
        {
            "name": search.name,
            "speaker": search.speaker,
            "most": search.most,
            "rounds": search.rounds,
            "rule": search.rule.value,
            "minors": search.minors,
            "tracked": search.tracked,
            "rho": f"{float(plan.rho_of(search.name)):.3g}" if search in searched else "0",
            "delta": f"{float(plan.threshold_delta_of(search)):.3g}" if search in searched else "0",
            "tracked_rho": f"{float(plan.rho_of(search.tracked)):.3g}" if search in searched else "0",
        }
        for search in plan.release_plan.terms
    ]


def data_card(measured: MeasuredRelease, code_version: str, canary_recall: Mapping[str, float] | None = None) -> str:
    """The data card in Markdown.

    Args:
        measured: the release.
        code_version: of the code that made it.
        canary_recall: share of planted canaries that the scrub caught, by kind: a public fact of the scrub, where known.
    """
    plan = measured.plan
    tables = [
        {
            "name": table.name,
            "path": data_path(table.name),
            "spec": TABLES[table.name],
            "rows": table.rows.num_rows,
            "columns": columns(table.name, plan.release_plan),
        }
        for table in ordered_tables(measured)
    ]
    return render(
        "card.md.j2",
        release=release_id(measured.quarter, measured.version),
        quarter=str(measured.quarter),
        version=measured.version,
        schema_version=SCHEMA_VERSION,
        synthetic_notice=SYNTHETIC_NOTICE if plan.synthetic else "",
        plan=plan,
        questions=plan.release_plan,
        privacy=plan.privacy,
        spend=measured.spend,
        tables=tables,
        measures=_measures(measured),
        searches=_searches(measured),
        statuses=STATUS_MEANING,
        canary_recall=sorted((canary_recall or {}).items()),
        code_version=code_version,
    )
