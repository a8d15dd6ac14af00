"""Which numbers the company rules do not let stand, and which further ones are withheld because those would follow from them."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from aggregate.answer import NoisyMarginal, NoisyTracked
from aggregate.intervals import one_sided_z
from schemas.plan import Names, RegisteredPlan
from schemas.tables import Status

_Line = frozenset[tuple[str, str]]
"""What the cells of a line have in common: keys and their codes."""

_Cells = dict[Names, list["Cell"]]


@dataclass(frozen=True)
class Cell:
    """One public cell with its noisy number, in users-equivalent."""

    keys: Mapping[str, str]
    status: Status
    estimate: float = 0.0
    rules: "CompanyRules | None" = None

    @property
    def published(self) -> bool:
        """Whether its number stands."""
        return self.status in (Status.OK, Status.TOO_NOISY)


@dataclass(frozen=True)
class CompanyRules:
    """The noisy sums that decide the company rules, with their noise scales and one-sided quantiles, in integer steps."""

    outside: int
    outside_scale: float
    outside_z: float
    dominance: int
    dominance_scale: float
    dominance_z: float

    @classmethod
    def of_each(cls, drawn: NoisyMarginal | NoisyTracked, plan: RegisteredPlan) -> "list[CompanyRules]":
        """Those of each number that was drawn together, in order."""
        companies = plan.privacy.companies
        outside_z, dominance_z = one_sided_z(companies.too_few_error_rate), one_sided_z(companies.dominance_error_rate)
        return [
            cls(outside, drawn.outside_scale, outside_z, dominance, drawn.dominance_scale, dominance_z)
            for outside, dominance in zip(drawn.outside, drawn.dominance, strict=True)
        ]

    @staticmethod
    def hold(cells: Iterable["CompanyRules | None"]) -> bool:
        """Whether both rules hold beyond their noise for the sum of cells, each with the error rate stated for its edge.

        The mass outside the K - 1 largest companies of a sum is at least the sum of the cells' own, and its dominance at most
        theirs, so adding the noisy values errs on the side of withholding. For no cells at all they hold.
        """
        rules = list(cells)
        if any(rule is None for rule in rules):
            return False
        known = [rule for rule in rules if rule is not None]
        enough = sum(r.outside for r in known) >= math.sqrt(sum((r.outside_z * r.outside_scale) ** 2 for r in known))
        shared = sum(r.dominance for r in known) <= -math.sqrt(sum((r.dominance_z * r.dominance_scale) ** 2 for r in known))
        return not known or (enough and shared)


def withhold_what_gives_others_away(cells: _Cells, curve: Names) -> None:
    """Withholds further cells of a measure's marginals until no sum of withheld ones follows that does not keep the rules. In place.

    Marginals agree on the sums over the keys that they share, so what one withholds another may give away: what is withheld of a
    line whose sum may be known must keep the rules as a sum. Where shorter lines within it are told by another marginal, that goes
    for the rest of it alone, since theirs can be subtracted. Two sums that keep the rules do so together (`CompanyRules.hold`), and
    lines lie in each other or apart (`schemas/plan.py` refuses other plans), so with these sums every sum that follows keeps them.
    A curve over the keys `curve` gives their sum away, so for it the same is done: one small cell costs another, not the curve.
    """
    changed = True
    while changed:
        changed = False
        for marginal, own in cells.items():
            for keys in _shared(marginal, cells):
                for line in lines_of(own, keys):
                    changed |= _settle(cells, marginal, keys, line)
            if curve:
                for line in lines_of(own, tuple(key for key in marginal if key not in curve)):
                    changed |= _complete(own, _least_of_a_curve(own, line))


def lines_of(cells: Sequence[Cell], keys: Names) -> list[list[int]]:
    """Places of the cells that have the same codes of some keys."""
    found: dict[Names, list[int]] = {}
    for place, cell in enumerate(cells):
        found.setdefault(tuple(cell.keys[key] for key in keys), []).append(place)
    return list(found.values())


def _shared(marginal: Names, cells: _Cells) -> list[Names]:
    """The sets of keys that a marginal shares with others, each within the one before it."""
    sets = {tuple(key for key in marginal if key in other) for other in cells if other != marginal}
    return sorted(sets, key=len, reverse=True)


def _settle(cells: _Cells, marginal: Names, keys: Names, line: list[int]) -> bool:
    """Sees to it that what is withheld of a line keeps the rules, without the shorter lines in it that others tell. Whether it changed anything."""
    own = cells[marginal]
    if all(own[place].published for place in line):
        return False
    told = _told_by_others(cells, marginal, line, [finer for finer in _shared(marginal, cells) if len(finer) > len(keys)])
    rest = [place for place in line if not any(_is_in(own[place], shorter) for shorter in told)]
    if any(own[place].published for place in rest):
        return _complete(own, sorted(rest, key=lambda place: own[place].estimate))
    if not told or CompanyRules.hold(own[place].rules for place in rest) or _keeps_elsewhere(cells, marginal, keys, rest, told):
        return False  # what is wholly withheld without being a rest is told by cells that keep the rules, or not at all
    least = min(told, key=lambda shorter: (_sum(cells, shorter), sorted(shorter)))
    for other in _tellers(cells, least):
        places = [place for place, cell in enumerate(cells[other]) if _is_in(cell, least)]
        _withhold(cells[other], min(places, key=lambda place: cells[other][place].estimate))
    return True


def _told_by_others(cells: _Cells, marginal: Names, line: list[int], finer: Iterable[Names]) -> set[_Line]:
    """The shorter lines within a line, by each of some sets of keys, of which another marginal publishes every cell."""
    own = cells[marginal]
    within = {frozenset((key, own[place].keys[key]) for key in keys) for keys in finer for place in line}
    return {shorter for shorter in within if any(other != marginal for other in _tellers(cells, shorter))}


def _tellers(cells: _Cells, line: _Line) -> Iterator[Names]:
    """The marginals that publish every cell of a line."""
    for marginal, own in cells.items():
        if {key for key, _ in line} <= set(marginal) and all(cell.published for cell in own if _is_in(cell, line)):
            yield marginal


def _keeps_elsewhere(cells: _Cells, marginal: Names, keys: Names, rest: list[int], told: set[_Line]) -> bool:
    """Whether the same rest is known to keep the rules by another marginal: by the noisy sums of what that one withholds of it."""
    codes = frozenset((key, cells[marginal][rest[0]].keys[key]) for key in keys)
    named = {key for line in (codes, *told) for key, _ in line}
    for other, theirs in cells.items():
        if len(rest) > 1 and other != marginal and named <= set(other):
            same = (cell for cell in theirs if _is_in(cell, codes) and not any(_is_in(cell, line) for line in told))
            if CompanyRules.hold(cell.rules for cell in same if not cell.published):
                return True
    return False


def _sum(cells: _Cells, line: _Line) -> float:
    teller = next(_tellers(cells, line))
    return sum(cell.estimate for cell in cells[teller] if _is_in(cell, line))


def _is_in(cell: Cell, line: _Line) -> bool:
    return all(cell.keys[key] == code for key, code in line)


def _least_of_a_curve(cells: list[Cell], line: list[int]) -> list[int]:
    """Places in the order in which withholding them costs a curve least: depths that lack a cell already, then the deepest."""
    lacking = {cells[place].keys["depth_band"] for place in line if cells[place].status is Status.TOO_FEW_COMPANIES}
    return sorted(line, key=lambda place: (cells[place].keys["depth_band"] not in lacking, -place))


def _complete(cells: list[Cell], line: list[int]) -> bool:
    """Withholds one more cell of a line whose withheld cells do not keep the rules as a sum: the first that helps. Whether it did."""
    withheld = [cells[place].rules for place in line if cells[place].status is Status.TOO_FEW_COMPANIES]
    open_places = [place for place in line if cells[place].published]
    if not withheld or not open_places or CompanyRules.hold(withheld):
        return False
    enough = (place for place in open_places if CompanyRules.hold([*withheld, cells[place].rules]))
    _withhold(cells, next(enough, open_places[-1]))
    return True


def _withhold(cells: list[Cell], place: int) -> None:
    cells[place] = replace(cells[place], status=Status.TOO_FEW_COMPANIES)
