"""Commands of the pool: take in, plan, measure, check."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.output import Json, print_json, print_table, progress, quarter_of, say
from schemas.errors import ExitCode, UsageError

Root = Annotated[Path, Parameter(name="--root", env_var="COMMONS_ROOT", help="The pool's root folder.")]
DEFAULT_ROOT = Path("pool")


def _pool(root: Path) -> Any:
    from flows.pool import Pool

    return Pool(root.resolve())


def run_release(root: Path, quarter: str, until: str, wait: bool = False) -> dict[str, Any]:
    """Runs the release flow of a quarter up to a stage and returns what its stages told."""
    from flows.prefect_home import prepare

    prepare(root)
    from flows.release import release
    from flows.runs import run_flow

    with progress():
        return run_flow(release, str(root.resolve()), str(quarter_of(quarter)), until, wait)


def ingest(*, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Take in what lies in the drops of all companies, and scrub what was accepted.

    Example: `commons ingest --root pool`
    """
    from flows.prefect_home import prepare

    prepare(root)
    from flows.intake import intake
    from flows.runs import run_flow

    with progress():
        result = run_flow(intake, str(root.resolve()))
    submissions = result["submissions"]
    if json:
        print_json(result)
    else:
        columns = ("company", "digest", "quarter", "decision", "records", "accepted", "quarantined", "findings")
        cells = ({**s, "digest": s["digest"][:16]} for s in submissions)  # as the company's own `commons status` shows it
        rows = ([*(s[c] for c in columns[:-1]), ", ".join(f"{k} × {n}" for k, n in s["findings"].items())] for s in cells)
        if submissions:
            print_table("", columns, rows)
        _say_scrubbed(result["scrub"])
        if result["left_waiting"]:
            say(
                f"{result['left_waiting']} submissions wait for the next run: their companies' others took all the time of this one."
            )
    if any(s["decision"] == "refused" for s in submissions):
        return ExitCode.SUBMISSION_REFUSED
    return ExitCode.RECORDS_QUARANTINED if any(s["quarantined"] for s in submissions) else ExitCode.DONE


def _say_scrubbed(scrub: dict[str, Any]) -> None:
    say("scrubbed: {records} records, {turns} turns, {characters} characters".format(**scrub))
    if scrub["withheld"]:
        reasons = ", ".join(f"{reason} × {n}" for reason, n in scrub["withheld"].items())
        say(f"withheld: {scrub['withheld_share']:.2%} of turns ({reasons})")


def plan(
    quarter: str,
    *,
    key: Annotated[Path | None, Parameter(name="--key", help="Your private key file.")] = None,
    supersede: str = "",
    explain: Annotated[bool, Parameter(negative="")] = False,
    users: float | None = None,
    chart: Path | None = None,
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """Register the plan of a quarter, before any data are read; or show first what it would tell (`--explain`).

    Example: `commons plan 2026Q1 --key keys/operator.key`

    Args:
        quarter: the quarter, like 2026Q1.
        supersede: the reason for a new version of a measured quarter; it spends from the quarter's reserve.
        explain: register nothing; show the noise, and the smallest difference of rates that can be told.
        users: users expected in each measure; as many as the latest release says, if not given.
        chart: where to write what is explained as a picture (SVG).
    """
    if explain:
        return _explain(root, quarter, users, chart, json)
    if key is None:
        raise UsageError("A plan is registered with the operator's key.", "Give it: `--key keys/operator.key`.")
    from flows.release_steps import make_plan

    made = make_plan(_pool(root), quarter_of(quarter), key, supersede)
    facts = {
        "quarter": made.quarter,
        "version": made.version,
        "plan": made.hash,
        "rho": made.rho,
        "contributors": made.contributors,
    }
    if json:
        print_json(facts)
    else:
        say(f"{made.quarter} version {made.version}: plan {made.hash[:12]}, rho {made.rho}, {made.contributors} companies.")
    return ExitCode.DONE


def _explain(root: Path, quarter: str, users: float | None, chart: Path | None, json: bool) -> int:
    from dataclasses import asdict

    from flows.explaining import explain_plan

    found = explain_plan(_pool(root), quarter_of(quarter), users)
    if json:
        print_json(asdict(found))
    else:
        say(f"{found.quarter}: rho {found.rho}, ε = {found.epsilon:.3f} at δ = {found.delta:g}. Nothing is registered or spent.")
        say(f"Expected: {found.users:,.0f} users in each measure ({found.users_from}). Differences are percentage points.")
        columns = (
            "measure",
            "marginal",
            "cells",
            "noise ±",
            "companies from",
            "smallest difference",
            "at 2 ε",
            "half the measures",
        )
        rows = (
            (m.measure, " × ".join(m.marginal), m.cells, m.noise, m.least_outside, *map(_points, _differences(m)))
            for m in found.marginals
        )
        print_table("", columns, rows)
        say("noise ±: standard deviation of each cell, users-equivalent. companies from: users-equivalent that must lie outside")
        say(
            "the K - 1 largest companies for a cell to be published about every second time. – : no such difference could be told."
        )
        if found.searches:
            told = ("search", "rule", "rounds", "noise ±", "threshold", "users alone", "users with most", "followed: noise ±")
            print_table(
                "",
                told,
                (
                    (s.search, s.rule, s.rounds, s.noise, s.threshold, s.users_alone, s.users_typical, s.tracked_noise)
                    for s in found.searches
                ),
            )
            say("A term is found about every second time from so many users on (under the strict rule: outside the K - 1 largest")
            say("companies) who count with it alone, or with as many terms as count at most.")
    if chart is not None:
        from publish.plan_chart import plan_chart

        chart.write_text(
            plan_chart([(m.measure, " × ".join(m.marginal), _differences(m)) for m in found.marginals]), encoding="utf-8"
        )
        if not json:  # machines get one document
            say(f"Chart: {chart}")
    return ExitCode.DONE


def _differences(marginal: Any) -> tuple[float | None, float | None, float | None]:
    return marginal.difference, marginal.difference_at_twice_epsilon, marginal.difference_at_half_the_measures


def _points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def measure(quarter: str, *, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Measure the registered plan of a quarter. Budget is charged once; asked again, the stored answer comes back.

    Example: `commons measure 2026Q1 --root pool`
    """
    result = run_release(root, quarter, "measure")["measure"]
    if json:
        print_json(result)
    else:
        say(f"{quarter} version {result['version']}: {result['cells']} cells, ε = {result['epsilon']:.4f}.")
    return ExitCode.DONE


def check(quarter: str, *, root: Root = DEFAULT_ROOT, json: Json = False) -> int:
    """Check a measured release; a failed stop check stops it.

    Example: `commons check 2026Q1 --root pool`
    """
    run_release(root, quarter, "check")
    from flows.release_steps import stored_results

    results = stored_results(_pool(root), quarter_of(quarter))
    print_checks(results, json)
    failed = any(result.stops and not result.passed for result in results)
    return ExitCode.CHECK_FAILED if failed else ExitCode.DONE


def print_checks(results: Any, json: bool) -> None:
    """Check results, as a table or as JSON."""
    if json:
        print_json([{"name": r.name, "passed": r.passed, "stops": r.stops, "detail": r.detail} for r in results])
    else:
        rows = ((r.name, "passed" if r.passed else "FAILED" if r.stops else "warning", r.detail) for r in results)
        print_table("", ("check", "result", "detail"), rows)


def pool_keys(root: Path, json: bool) -> int:
    """The keys that every company needs, as `commons.toml` has them; and the folders of local drops are there from now on."""
    from flows.drops import make_local_drops, public_keys

    if not root.is_dir():  # keys of a mistyped pool would be handed out, and nobody could read what is sealed to them
        raise UsageError("There is no pool of that name.", "Check --root; for a new pool, make its folder first.")
    pool = _pool(root)
    make_local_drops(pool)
    keys = public_keys(pool)
    if json:
        print_json(keys)
    else:
        for name, key in keys.items():
            say(f'{name} = "{key}"')
    return ExitCode.DONE
