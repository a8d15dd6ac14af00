"""Claims: sentences that are bound to cells. A sentence that its cells do not support cannot be rendered."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, sqrt
from statistics import NormalDist
from typing import Literal

from publish.cells import Cell, Reading, ReleaseCells
from publish.derived import DERIVED, shown, shows
from publish.wording import Direction, compares, directions_said, holds_number, is_causal
from schemas.derived_tables import EFFECTS, GROWING, RANDOMISED, RECEDING, TERMS
from schemas.errors import CheckFailedError
from schemas.keys import KEYS
from schemas.tables import TABLES, Status

MeasuredColumn = Literal["rate", "estimate", "ratio", "growth", "effect", "direction"]
UNCHANGED: Mapping[MeasuredColumn, float] = {"ratio": 1.0, "growth": 1.0, "effect": 0.0}
"""Numbers that tell a change, each with the value that it has where nothing changed. `direction` tells one without a number."""


class Kind(StrEnum):
    """How much a sentence may say: only `randomised` may speak of causes."""

    DESCRIPTIVE = "descriptive"
    ASSOCIATION = "association"
    RANDOMISED = "randomised"


@dataclass(frozen=True)
class Quantity:
    """One number of a sentence: a column of a cell. Shown with its interval, always."""

    cell: Cell
    column: MeasuredColumn = "rate"


@dataclass(frozen=True)
class Difference:
    """Asserts that quantity `a` is higher (or lower) than quantity `b`; `name` shows the difference in the text."""

    name: str
    a: str
    b: str
    direction: Direction

    @property
    def named(self) -> tuple[str, ...]:
        """The quantities that it is about."""
        return self.a, self.b


@dataclass(frozen=True)
class Trend:
    """Asserts that quantities, in order, rise (`higher`) or fall (`lower`): the slope over their places."""

    names: tuple[str, ...]
    direction: Direction

    @property
    def named(self) -> tuple[str, ...]:
        """The quantities that it is about."""
        return self.names


@dataclass(frozen=True)
class Moved:
    """Asserts that quantity `name`, which tells a change, lies above (`higher`) or below where it would be without one."""

    name: str
    direction: Direction

    @property
    def named(self) -> tuple[str, ...]:
        """The quantity that it is about."""
        return (self.name,)


Assertion = Difference | Trend | Moved


@dataclass(frozen=True)
class Claim:
    """One sentence. `{a}` in its text shows quantity `a`, `{a.depth_band}` the plain label of that key of its cell."""

    kind: Kind
    text: str
    quantities: Mapping[str, Quantity]
    asserts: tuple[Assertion, ...] = field(default=())


@dataclass(frozen=True)
class Estimate:
    """A value with an interval of a stated width."""

    value: float
    low: float
    high: float


_PLACE = re.compile(r"\{(\w+)(?:\.(\w+))?\}")
_NEW = re.compile(r"\bnew(?:ly)?\b", re.I)
_CALLED: Mapping[Direction, str] = {Direction.HIGHER: GROWING, Direction.LOWER: RECEDING}
ORDERED_KEYS = ("week", "depth_band", "length_band", "earlier_interventions")
"""Keys whose codes have an order, so that a trend over them means something."""


def family_z(confidence: float, comparisons: int) -> float:
    """Two-sided normal quantile at which a family of comparisons errs at most once in 1 / (1 - confidence) (Bonferroni)."""
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2 / max(comparisons, 1))


def estimate_of(reading: Reading, column: MeasuredColumn) -> Estimate | None:
    """A column of a reading with its published interval; None where there is none."""
    ends = ("ci_low", "ci_high") if column in ("estimate", "effect") else (f"{column}_ci_low", f"{column}_ci_high")
    value, low, high = (getattr(reading, name) for name in (column, *ends))
    return None if value is None or low is None or high is None else Estimate(value, low, high)


def _stands(reading: Reading, column: MeasuredColumn) -> bool:
    """Whether a claim may rest on a number."""
    return reading.status == Status.OK and estimate_of(reading, column) is not None


def _differing(cells: Sequence[Cell]) -> list[str] | None:
    """The keys in which cells of one marginal differ; None where they are not of one."""
    names = {name for cell in cells for name, _ in cell.keys}
    if len({cell.table for cell in cells}) > 1 or any(len(cell.keys) != len(names) for cell in cells):
        return None
    return [name for name in names if len({cell.code(name) for cell in cells}) > 1]


def _widths(estimate: Estimate, column: MeasuredColumn) -> tuple[float, float]:
    below, above = estimate.value - estimate.low, estimate.high - estimate.value
    if column == "rate":  # an end at 0 or 1 was cut there: the other side tells how wide it would be
        below = max(below, above) if estimate.low <= 0 else below
        above = max(below, above) if estimate.high >= 1 else above
    return below, above


def difference(a: tuple[Cell, Estimate], b: tuple[Cell, Estimate], column: MeasuredColumn, stretch: float) -> Estimate:
    """Difference of two quantities with an interval from theirs (MOVER: Zou and Donner 2008), stretched for multiplicity.

    Shares of one denominator pull against each other: for them the widths add up in full, which is never too narrow.
    """
    (cell_a, one), (cell_b, other) = a, b
    below_a, above_a = _widths(one, column)
    below_b, above_b = _widths(other, column)
    rate_key = TABLES[cell_a.table].rate_key(key for key, _ in cell_a.keys)
    shared = column == "rate" and cell_a.without(rate_key) == cell_b.without(rate_key)
    down = below_a + above_b if shared else sqrt(below_a**2 + above_b**2)
    up = above_a + below_b if shared else sqrt(above_a**2 + below_b**2)
    value = one.value - other.value
    return Estimate(value, value - stretch * down, value + stretch * up)


def pull(cells: ReleaseCells, compared: Sequence[Cell]) -> float:
    """How much wider differences and trends can be than those of cells of independent noise.

    Marginals of a measure agree with each other, so cells that differ in a key of n codes pull against each other: their noise
    has a correlation of -1 / (n - 1) at worst, which widens a contrast by √(n / (n - 1)) at most.
    """
    names = set.intersection(*({name for name, _ in cell.keys} for cell in compared))
    differing = [name for name in names if name in KEYS and len({cell.code(name) for cell in compared}) > 1]
    fewest = min((cells.codes(compared[0].table, name) for name in differing), default=0)
    return sqrt(fewest / (fewest - 1)) if fewest > 1 else 1.0


def slope(estimates: list[Estimate], column: MeasuredColumn, z: float, stretch: float) -> Estimate:
    """Weighted least-squares slope over the places of the estimates, with its interval; `z` is that of their intervals."""
    weights = [(2 * z / max(sum(_widths(e, column)), 1e-12)) ** 2 for e in estimates]
    total = sum(weights)
    centre = sum(w * x for x, w in enumerate(weights)) / total
    spread = sum(w * (x - centre) ** 2 for x, w in enumerate(weights))
    value = sum(w * (x - centre) * e.value for x, (w, e) in enumerate(zip(weights, estimates, strict=True))) / spread
    half = stretch * z / sqrt(spread)
    return Estimate(value, value - half, value + half)


class ClaimChecker:
    """Checks and renders claims against the cells of one release.

    `comparisons` is the size of the whole family that was looked at, not only of what is said: looking at many and saying
    the few that stand out is how chance gets into print.
    """

    def __init__(self, cells: ReleaseCells, comparisons: int) -> None:
        self.cells, self.comparisons = cells, comparisons
        self.confidence, self.quarter = cells.measured.plan.privacy.confidence, str(cells.measured.quarter)
        self.z = family_z(self.confidence, 1)

    def family(self, compared: Sequence[Quantity]) -> int:
        """Size of the family that a comparison of these quantities belongs to."""
        return self.comparisons

    def _stretch(self, compared: Sequence[Quantity]) -> float:
        """How much wider than published intervals those of a comparison are: for its family, and for cells that pull."""
        wider = pull(self.cells, [quantity.cell for quantity in compared])
        return family_z(self.confidence, self.family(compared)) / self.z * wider

    def objections(self, claim: Claim) -> list[str]:
        """Why the cells or the wording do not support a claim; empty where they do. Fixed texts."""
        found = self._wording(claim)
        if missing := self._unsupported(claim):
            return [*found, *missing]  # without numbers there is nothing to compare
        return found + [objection for assertion in claim.asserts for objection in self._assertion(claim, assertion)]

    def render(self, claim: Claim) -> str:
        """The sentence with its numbers.

        Raises:
            CheckFailedError: the cells or the wording do not support it; the message says why and which sentence.
        """
        if found := self.objections(claim):
            raise CheckFailedError(
                f"A claim is not supported: {'; '.join(found)}. The sentence: {claim.text}",
                "Say what the cells support, or leave the sentence out.",
            )
        return _PLACE.sub(lambda place: self._shown(claim, place[1], place[2]), claim.text)

    def compare(self, claim: Claim, assertion: Difference) -> Estimate:
        """The difference that a claim asserts, with its interval over the whole family."""
        a, b = claim.quantities[assertion.a], claim.quantities[assertion.b]
        ends = (a.cell, self._estimate(a)), (b.cell, self._estimate(b))
        return difference(*ends, a.column, self._stretch((a, b)))

    def _estimate(self, quantity: Quantity) -> Estimate:
        found = estimate_of(self.cells.read(quantity.cell), quantity.column)
        if found is None:
            raise CheckFailedError("A claim names a cell that holds no number.", "Leave the sentence out.")
        return found

    def _wording(self, claim: Claim) -> list[str]:
        static = _PLACE.sub(" ", claim.text)
        asserted = {assertion.direction for assertion in claim.asserts}
        said = directions_said(static)
        found = []
        if claim.kind is not Kind.RANDOMISED and is_causal(static):
            found.append("causal wording is for randomised comparisons only")
        if is_causal(static) and not claim.asserts:
            found.append("it speaks of causes, and asserts nothing")
        if claim.kind is Kind.RANDOMISED and not all(
            q.cell.table == EFFECTS and q.cell.code("design") == RANDOMISED for q in claim.quantities.values()
        ):
            found.append("it is called randomised, its cells are not")
        if claim.kind is Kind.DESCRIPTIVE and claim.asserts:
            found.append("it is called descriptive, and compares")
        if holds_number(static):
            found.append("a number does not come from a cell")
        if said - asserted or (compares(static) and not asserted):
            found.append("it compares, or points a way, that it does not assert")
        if asserted - said and asserted:
            found.append("it asserts a comparison that its words do not say")
        if any(not self._shows(claim, place[1], place[2]) for place in _PLACE.finditer(claim.text)):
            found.append("it shows a quantity or a label that it does not name")
        if not claim.quantities:
            found.append("it names no cell")
        return found

    def _shows(self, claim: Claim, name: str, key: str | None) -> bool:
        """Whether there is something to show at a place of the text."""
        if any(isinstance(a, Difference) and a.name == name for a in claim.asserts):
            return key is None
        quantity = claim.quantities.get(name)
        if quantity is None or key is None:
            return quantity is not None and quantity.column != "direction"
        if quantity.cell.table in DERIVED:
            return not self.cells.has(quantity.cell) or shows(self.cells.row(quantity.cell), key)
        return key in KEYS and key in dict(quantity.cell.keys)

    def _unsupported(self, claim: Claim) -> list[str]:
        found = []
        for quantity in claim.quantities.values():
            if not self.cells.has(quantity.cell):
                found.append("a cell is not one that the plan publishes")
                continue
            reading = self.cells.read(quantity.cell)
            if quantity.column == "direction":
                if reading.direction not in _CALLED.values():
                    found.append("a row is not called")
            elif reading.status != Status.OK:
                found.append(f"a cell has the status {reading.status}")
            elif not _stands(reading, quantity.column):
                found.append("a cell has no such number")
            elif quantity.cell.table == TERMS and _NEW.search(claim.text) and reading.first_seen != self.quarter:
                found.append("it calls a term new that was found before")
        if any(name not in claim.quantities for assertion in claim.asserts for name in assertion.named):
            found.append("it asserts something of a quantity that it does not name")
        return list(dict.fromkeys(found))

    def _assertion(self, claim: Claim, assertion: Assertion) -> list[str]:
        if isinstance(assertion, Moved):
            return self._moved(claim.quantities[assertion.name], assertion.direction)
        quantities = [claim.quantities[name] for name in assertion.named]
        column, compared = quantities[0].column, [quantity.cell for quantity in quantities]
        if any(cell.table in DERIVED for cell in compared):
            return ["it compares rows that each tell a change of their own"]
        if any(quantity.column != column for quantity in quantities):
            return ["it compares a rate with an estimate"]
        if objection := self._comparable(compared) or (isinstance(assertion, Trend) and self._partial(compared, column)):
            return [objection]
        if isinstance(assertion, Difference):
            result = self.compare(claim, assertion)
            what = "the interval of a difference holds zero or lies the other way"
        else:
            result = slope([self._estimate(q) for q in quantities], column, self.z, self._stretch(quantities))
            what = "the interval of a trend holds zero or lies the other way"
        holds = result.low > 0 if assertion.direction is Direction.HIGHER else result.high < 0
        return [] if holds else [what]

    def _moved(self, quantity: Quantity, direction: Direction) -> list[str]:
        """Why a row does not tell a change of this direction; empty where it does.

        Shares are called by the test that the plan registered; other changes stand over the family of their table.
        """
        if quantity.column not in (*UNCHANGED, "direction"):
            return ["it asserts a change of a number that tells none"]
        if quantity.column in ("ratio", "direction") and self.cells.read(quantity.cell).direction != _CALLED[direction]:
            return ["a row is not called that way at the registered rate of false discoveries"]
        if quantity.column == "direction":
            return []
        ends, still = self.widened(quantity), UNCHANGED[quantity.column]
        holds = ends.low > still if direction is Direction.HIGHER else ends.high < still
        return [] if holds else ["the interval of a change holds none, or lies the other way"]

    def widened(self, quantity: Quantity) -> Estimate:
        """What a row tells of a change, with an interval over all rows of its table that tell one."""
        found, column = self._estimate(quantity), quantity.column
        if column == "ratio":
            return found
        looked = sum(row[column] is not None for _, row in self.cells.rows(quantity.cell.table))
        stretch = family_z(self.confidence, looked) / self.z
        if column == "effect":
            return Estimate(found.value, *(found.value + stretch * (end - found.value) for end in (found.low, found.high)))
        if found.low <= 0 or found.value <= 0:
            return Estimate(found.value, 0.0, inf)
        return Estimate(found.value, *(found.value * (end / found.value) ** stretch for end in (found.low, found.high)))

    def _comparable(self, compared: list[Cell]) -> str:
        """Why cells are not to be compared; empty where they are: cells of one marginal that differ in one key."""
        names = _differing(compared)
        if names is None:
            return "it compares cells of different tables or marginals"
        return "" if len(names) == 1 and names[0] in KEYS else "it compares cells that differ in more than one key, or in none"

    def _partial(self, compared: list[Cell], column: MeasuredColumn) -> str:
        """Why cells make no trend; empty where they do: every cell with a number, along a key that has an order."""
        (name,) = _differing(compared) or ("",)
        fixed = compared[0].without(name)
        line = (Cell.of(fixed.table, {**dict(fixed.keys), name: code}) for code in self.cells.domain(fixed.table, name))
        told = [cell for cell in line if self.cells.has(cell) and _stands(self.cells.read(cell), column)]
        if name not in ORDERED_KEYS or len(told) < 3 or compared != told:
            return "a trend runs over every cell with a number, three at least, in the order of a key that has one"
        return ""

    def _shown(self, claim: Claim, name: str, key: str | None) -> str:
        for assertion in claim.asserts:
            if isinstance(assertion, Difference) and assertion.name == name:
                return show_difference(self.compare(claim, assertion), claim.quantities[assertion.a].column)
        quantity = claim.quantities[name]
        if key is not None and quantity.cell.table in DERIVED:
            return shown(self.cells.row(quantity.cell), key)
        if key is not None:
            return KEYS[key].label(quantity.cell.code(key))
        moved = any(isinstance(assertion, Moved) and assertion.name == name for assertion in claim.asserts)
        return show(self.widened(quantity) if moved else self._estimate(quantity), quantity.column)


_FIRM = "\u00a0"  # a space at which no line breaks: a number stays with its unit and its interval


def show(estimate: Estimate, column: MeasuredColumn) -> str:
    """A number with its interval, as readers see it: percent for rates, users-equivalent else."""
    if column == "rate":
        told = f"{100 * estimate.value:.0f} % ({100 * estimate.low:.0f} to {100 * estimate.high:.0f})"
    elif column == "effect":
        return show_difference(estimate, "rate")
    elif column in UNCHANGED:
        told = f"{estimate.value:.2g} ({estimate.low:.2g} to {estimate.high:.2g})"
    else:
        told = f"{estimate.value:,.0f} ({estimate.low:,.0f} to {estimate.high:,.0f})"
    return told.replace(" ", _FIRM)


def show_difference(estimate: Estimate, column: MeasuredColumn) -> str:
    """A difference with its interval: percentage points for rates."""
    if column == "rate":
        told = f"{100 * estimate.value:+.1f} points ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"
    else:
        told = f"{estimate.value:+,.0f} ({estimate.low:+,.0f} to {estimate.high:+,.0f})"
    return told.replace(" ", _FIRM).replace("-", "\u2212")
