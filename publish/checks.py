"""Checks of a measured release, in one declared list: each stops it or warns. Details are fixed text and public numbers."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from publish.cells import RATES, SHARES, VALUES, Cell, ReleaseCells, TableCells
from publish.content import CellKey, marginal_cells, table_names
from schemas.derived_tables import COVARIANCE, OWN_KEYS
from schemas.errors import CommonsError
from schemas.keys import ALL, ENDED, KEYS
from schemas.plan import Measure
from schemas.stages import CheckResult, MeasuredRelease
from schemas.tables import TABLES, Status, columns

WITHHELD = (Status.TOO_FEW_COMPANIES.value, Status.NOT_COLLECTED.value, Status.NOT_COMPARABLE.value)
Outcome = tuple[bool, str]


class Inspection:
    """A measured release under inspection, with what several checks need worked out once."""

    def __init__(self, measured: MeasuredRelease) -> None:
        self.measured, self.plan, self.privacy = measured, measured.plan, measured.plan.privacy
        self.questions = measured.plan.release_plan

    @cached_property
    def cells(self) -> ReleaseCells:
        """All tables by cell. Only after the columns are known to be as declared."""
        return ReleaseCells(self.measured)

    @cached_property
    def tables(self) -> tuple[TableCells, ...]:
        """The tables."""
        return tuple(self.cells.tables.values())

    @cached_property
    def expected(self) -> dict[str, dict[CellKey, Measure]]:
        """For each table, every cell that the plan publishes, with its measure."""
        found: dict[str, dict[CellKey, Measure]] = {name: {} for name in table_names(self.questions) if TABLES[name].of_cells}
        for measure in self.questions.measures:
            for marginal in measure.marginals:
                found[measure.table].update(dict.fromkeys(marginal_cells(measure, marginal, self.plan), measure))
        return found


@dataclass(frozen=True)
class Check:
    """One check: its name, whether a failure stops the release, what it asks, the function that answers, and which
    checks must have passed for it to be able to look."""

    name: str
    stops: bool
    asks: str
    run: Callable[[Inspection], Outcome]
    needs: tuple[str, ...] = ("columns",)


_NEVER_NULL = ("codes", "variance")


def check_companies(inspection: Inspection) -> Outcome:
    """At least K companies contribute."""
    given, needed = inspection.plan.contributors, inspection.privacy.companies.minimum
    return given >= needed, f"{given} companies contribute; at least {needed} are needed."


def check_budget(inspection: Inspection) -> Outcome:
    """The spend is in the ledger and within both caps."""
    spend, budget = inspection.measured.spend, inspection.privacy.budget
    within = spend.epsilon <= budget.quarter_epsilon and spend.year_epsilon <= budget.year_epsilon and bool(spend.entries)
    return within, (
        f"ε is {spend.epsilon:.4g} of at most {float(budget.quarter_epsilon):.4g}, "
        f"over the year {spend.year_epsilon:.4g} of at most {float(budget.year_epsilon):.4g}."
    )


def check_columns(inspection: Inspection) -> Outcome:
    """The tables are those of the plan, each once, with exactly the declared columns and types."""
    names = [table.name for table in inspection.measured.tables]
    if Counter(names) != Counter(table_names(inspection.questions)):
        return False, "The tables are not those of the plan, each once."
    for table in inspection.measured.tables:
        declared = [(c.name, "double" if c.type == "float" else "string") for c in columns(table.name, inspection.questions)]
        if [(field.name, str(field.type)) for field in table.rows.schema] != declared:
            return False, f"Columns or types of {table.name} are not as declared."
        if table.rows.num_rows and any(
            table.rows.column(c.name).null_count
            for c in columns(table.name, inspection.questions)
            if c.name in ("quarter", "status", *OWN_KEYS.get(table.name, ()), *(_NEVER_NULL if table.name == COVARIANCE else ()))
        ):
            return False, f"A row of {table.name} misses what each row has."
    return True, f"{len(names)} tables have their declared columns."


def check_domains(inspection: Inspection) -> Outcome:
    """Every key is a code of its public domain, or `all`."""
    outside = 0
    for table in inspection.tables:
        measures = [m for m in inspection.questions.measures if m.table == table.name]
        scopes = [m.scope(inspection.measured.quarter, inspection.questions) for m in measures]
        for name in table.key_names:
            if name in KEYS:
                allowed = {ALL, *(code for scope in scopes for code in KEYS[name].domain(scope))}
            else:
                allowed = {m.outcome_kind if name == "outcome_kind" else m.window for m in measures}
            outside += sum(code not in allowed for code in table.columns[name])
    return (
        outside == 0,
        "Every key is in its public domain." if not outside else f"{outside} keys are outside their public domain.",
    )


def check_complete(inspection: Inspection) -> Outcome:
    """Every cell of every marginal is there, once, and no other."""
    missing = extra = 0
    for table in inspection.tables:
        found, expected = Counter(table.keys), inspection.expected[table.name]
        missing += sum(key not in found for key in expected)
        extra += sum(count if key not in expected else count - 1 for key, count in found.items())
    total = sum(len(cells) for cells in inspection.expected.values())
    return not missing and not extra, f"{total} cells are expected; {missing} are missing, {extra} are not expected."


def check_no_text(inspection: Inspection) -> Outcome:
    """Columns of text hold known codes only: nothing that anybody wrote can be in them."""
    strange = 0
    for table in inspection.tables:
        keys_of = inspection.expected[table.name]
        allowed: dict[str, set[str | None]] = {
            "quarter": {str(inspection.measured.quarter)},
            "status": {status.value for status in Status},
            "denominator": {None, TABLES[table.name].denominator},
        }
        for place, name in enumerate(table.key_names):
            allowed[name] = {key[place] for key in keys_of}
        for column in columns(table.name, inspection.questions):
            if column.type == "string":
                strange += sum(value not in allowed[column.name] for value in table.columns[column.name])
    return strange == 0, "All text is a known code." if not strange else f"{strange} values are no known code."


def check_statuses(inspection: Inspection) -> Outcome:
    """A number is missing exactly where the status says why; what is not collected and what is too noisy is so marked."""
    wrong = 0
    ratio = inspection.privacy.too_noisy_ratio
    for table in inspection.tables:
        expected = inspection.expected[table.name]
        for key, cell in table.readings():
            if cell.status in WITHHELD:
                wrong += any(getattr(cell, name) is not None for name in (*VALUES, *RATES))
            elif cell.estimate is None or cell.noise_stddev is None or None in (cell.estimate_nonneg, cell.ci_low, cell.ci_high):
                wrong += 1
            else:
                # A hair of tolerance: which side of the edge rounding falls on is no broken promise.
                edge, slack = ratio * cell.noise_stddev, 1e-9 * cell.noise_stddev
                noisy = cell.status == Status.TOO_NOISY
                wrong += cell.estimate > edge + slack if noisy else cell.estimate < edge - slack
            measure = expected.get(key)
            if measure is not None:
                wrong += (cell.status == Status.NOT_COLLECTED) != (measure not in inspection.plan.measured())
    return (
        wrong == 0,
        "Numbers are missing exactly where a status says why." if not wrong else f"{wrong} cells contradict their status.",
    )


def check_numbers(inspection: Inspection) -> Outcome:
    """Numbers are finite, intervals hold their estimate, noise is positive, and shares stand where they mean something only."""
    wrong = 0
    for table in inspection.tables:
        names = [name for name in (*VALUES, *RATES) if name in table.columns]
        wrong += sum(value is not None and not abs(value) < float("inf") for name in names for value in table.columns[name])
        for key, cell in table.readings():
            wrong += cell.noise_stddev is not None and not cell.noise_stddev > 0
            wrong += cell.sampling_factor is not None and not 0 < cell.sampling_factor <= 1
            if cell.estimate is not None and cell.ci_low is not None and cell.ci_high is not None:
                wrong += not cell.ci_low <= cell.estimate <= cell.ci_high
                wrong += cell.estimate_nonneg != max(cell.estimate, 0.0)
            for name in SHARES:
                value, low, high = cell.share(name)
                if value is None or low is None or high is None:
                    wrong += (value, low, high) != (None, None, None)
                else:
                    wrong += not 0 <= low <= value <= high <= 1
                    wrong += not _has_share(table, key, name)
    return wrong == 0, "All numbers are finite and within their intervals." if not wrong else f"{wrong} numbers break a rule."


def _codes(table: TableCells, key: CellKey) -> dict[str, str]:
    """Codes of the keys that a row is not summed over."""
    return {name: code for name, code in zip(table.key_names, key, strict=True) if name in KEYS and code != ALL}


def _has_share(table: TableCells, key: CellKey, share: str) -> bool:
    """Whether a row may have a share: rates are of known codes, what a curve tells stands with the ending `ended`."""
    codes, spec = _codes(table, key), TABLES[table.name]
    if share != "rate":
        return spec.has_curve and codes.get("ending") == ENDED
    rated = spec.rate_key(codes)
    return bool(rated) and codes[rated] not in KEYS[rated].open_codes


def check_withheld(inspection: Inspection) -> Outcome:
    """No line of cells with a withheld one has rates: they would give its denominator away, and with it what is withheld."""
    open_lines = 0
    for table in inspection.tables:
        withheld, rated = set[Cell](), set[Cell]()
        for key, cell in table.readings():
            codes = _codes(table, key)
            rated_key = TABLES[table.name].rate_key(codes)
            if rated_key:
                line = Cell.of(table.name, dict(zip(table.key_names, key, strict=True))).without(rated_key)
                if codes[rated_key] not in KEYS[rated_key].open_codes and cell.status == Status.TOO_FEW_COMPANIES:
                    withheld.add(line)
                if cell.rate is not None:
                    rated.add(line)
        open_lines += len(withheld & rated)
    if not open_lines:
        return True, "No line of cells with a withheld one has rates."
    return False, f"{open_lines} lines of cells with a withheld one have rates; drop those rates."


def check_signal(inspection: Inspection) -> Outcome:
    """At least half of the cells that are published are more than noise."""
    statuses = Counter(status for table in inspection.tables for status in table.columns["status"])
    usable, noisy = statuses[Status.OK.value], statuses[Status.TOO_NOISY.value]
    return usable >= noisy, f"{usable} cells are ok, {noisy} too noisy to stand alone."


def check_brief(inspection: Inspection) -> Outcome:
    """The pattern brief renders, and the cells support each of its claims."""
    from publish.brief import render_brief

    try:
        brief = render_brief(inspection.measured, helplines=(), earlier=(), charts=False)
    except CommonsError:
        return False, "The brief does not render: a claim is not supported by its cells."
    return True, f"The brief renders; {len(brief.findings)} claims are supported by their cells."


_SOUND = ("columns", "complete", "statuses", "numbers")


def _statistics() -> tuple[Check, ...]:
    from publish.check_rest import check_rest
    from publish.check_statistics import check_coverage, check_totals

    return (
        Check("totals_agree", True, "Do the marginals of a measure agree on what they share?", check_totals, _SOUND),
        Check("no_rest", True, "Does no withheld cell follow from published ones?", check_rest, _SOUND),
        Check(
            "intervals_cover",
            True,
            "Do intervals of this width cover on simulated data of this noisy size?",
            check_coverage,
            _SOUND,
        ),
    )


def _derived() -> tuple[Check, ...]:
    from publish import check_derived as derived

    return (
        Check("derived_text", True, "Do derived tables hold codes, and terms, only?", derived.check_derived_text),
        Check(
            "derived_names",
            True,
            "Does every row of a derived table name what is published?",
            derived.check_derived_names,
            ("columns", "complete", "derived_text"),
        ),
        Check("derived_statuses", True, "Is each of their numbers missing where it is said why?", derived.check_derived_statuses),
        Check(
            "derived_numbers",
            True,
            "Do their numbers agree with each other?",
            derived.check_derived_numbers,
            ("columns", "derived_statuses"),
        ),
        Check("newcomers", True, "Is nothing compared that tells of fewer than K companies?", derived.check_newcomers),
    )


CHECKS: tuple[Check, ...] = (
    Check("companies", True, "Do at least K companies contribute?", check_companies, ()),
    Check("budget", True, "Is the spend in the ledger and within its caps?", check_budget, ()),
    Check("columns", True, "Are tables, columns and types as declared?", check_columns, ()),
    Check("domains", True, "Is every key in its public domain?", check_domains),
    Check("complete", True, "Is every cell of the public domain there, once?", check_complete),
    Check("no_text", True, "Do text columns hold known codes only?", check_no_text),
    Check("statuses", True, "Is a number missing exactly where a status says why?", check_statuses),
    Check("numbers", True, "Are numbers finite and inside their intervals?", check_numbers),
    *_statistics(),
    *_derived(),
    Check(
        "brief",
        True,
        "Does the brief render, with every claim supported by its cells?",
        check_brief,
        (*_SOUND, "derived_numbers"),
    ),
    Check("withheld", True, "Has no line of cells with a withheld one any rates?", check_withheld),
    Check("signal", False, "Is at least half of what is published more than noise?", check_signal),
)


def run_checks(measured: MeasuredRelease) -> list[CheckResult]:
    """Runs every check, in declared order.

    A check whose needs have failed is not run and counts as failed: a check that cannot look must not pass.

    Args:
        measured: the release as it was measured.

    Returns:
        One result for each entry of `CHECKS`. Details hold fixed text and public numbers only.
    """
    inspection = Inspection(measured)
    results: dict[str, CheckResult] = {}
    for check in CHECKS:
        blocked = [name for name in check.needs if not results[name].passed]
        passed, detail = (False, f"Not run: {', '.join(blocked)} failed.") if blocked else check.run(inspection)
        results[check.name] = CheckResult(check.name, bool(passed), check.stops, detail)
    return list(results.values())
