"""The check that no withheld cell can be worked out: linear algebra over what is published, apart from the rule that withholds."""

from __future__ import annotations

from itertools import combinations
from math import prod
from typing import TYPE_CHECKING

from publish.cells import Cell
from schemas.keys import KEYS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from publish.checks import Inspection
    from schemas.plan import Measure

    Floats = npt.NDArray[np.float64]

_NEAR = 1e-6  # relative, of the part of a cell that nothing published tells


def check_rest(inspection: Inspection) -> tuple[bool, str]:
    """No withheld cell follows from what the marginals of its measure publish, by any sums and differences of it.

    One that is the sum of published cells of another marginal is left out: each of those stands by itself.
    """
    measures: dict[Measure, list[tuple[Cell, ...]]] = {}
    for measure, _, cells in inspection.cells.marginals:
        measures.setdefault(measure, []).append(cells)
    following = sum(_following(inspection, measure, marginals) for measure, marginals in measures.items())
    if not following:
        return True, "No withheld cell follows from what is published."
    return False, f"{following} withheld cells follow from what is published."


def _following(inspection: Inspection, measure: Measure, marginals: list[tuple[Cell, ...]]) -> int:
    """How many withheld cells are, as functions of the records, combinations of published ones."""
    import numpy as np

    cells = [cell for marginal in marginals for cell in marginal]
    stands = {cell: inspection.cells.read(cell).estimate is not None for cell in cells}
    sought = [cell for cell in cells if not stands[cell] and not any(_tells(marginal, cell, stands) for marginal in marginals)]
    if not sought or not any(stands.values()):
        return 0
    functions = _functions(inspection, measure, cells)
    _, sizes, directions = np.linalg.svd(np.array([functions[cell] for cell in cells if stands[cell]]), full_matrices=False)
    basis, wanted = directions[sizes > _NEAR * sizes[0]], np.array([functions[cell] for cell in sought])
    untold = np.linalg.norm(wanted - wanted @ basis.T @ basis, axis=1) / np.linalg.norm(wanted, axis=1)
    return int((untold < _NEAR).sum())


def _tells(marginal: tuple[Cell, ...], cell: Cell, stands: dict[Cell, bool]) -> bool:
    """Whether a cell is a sum of cells of a marginal that all stand."""
    finer = [each for each in marginal if set(cell.keys) <= set(each.keys)]
    return bool(finer) and all(stands[each] for each in finer)


def _functions(inspection: Inspection, measure: Measure, cells: list[Cell]) -> dict[Cell, Floats]:
    """Each cell as a function of the records: for every set of keys of a marginal, its part that is of these keys together alone."""
    import numpy as np

    marginals = {tuple(_codes(cell)) for cell in cells}
    sets = sorted({keys for own in marginals for n in range(len(own) + 1) for keys in combinations(own, n)})
    scope = measure.scope(inspection.measured.quarter, inspection.questions)
    domains = {key: KEYS[key].domain(scope) for own in marginals for key in own}
    found: dict[Cell, Floats] = {}
    for cell in cells:
        own = _codes(cell)
        parts: list[Floats] = []
        for keys in sets:
            part = np.full(1, 1 / prod(len(domains[key]) for key in own if key not in keys))
            for key in keys:
                size = len(domains[key])
                of_key = np.array([code == own[key] for code in domains[key]]) - 1 / size if key in own else np.zeros(size)
                part = np.kron(part, of_key)
            parts.append(part)
        found[cell] = np.concatenate(parts)
    return found


def _codes(cell: Cell) -> dict[str, str]:
    return {key: code for key, code in cell.keys if key in KEYS}
