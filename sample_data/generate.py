"""The simulated pool in memory: valid records after resolution, with the probabilities from which their outcomes were drawn."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sample_data.changes import draw_changes
from sample_data.draws import Ints
from sample_data.effects import OutcomeBlock, depth_band, draw_interventions, draw_outcomes
from sample_data.parameters import SimulationParameters
from sample_data.population import STRATA, codes, draw_records, draw_users
from sample_data.records import QuarterColumns, Record, RecordBuilder, Vector
from schemas.errors import UsageError
from schemas.keys import DEPTH_BANDS, EARLIER_BANDS, PUBLIC_AGE_BANDS
from schemas.periods import Quarter, iso_week

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True)
class ValidRecord:
    """One record that counts. `probabilities[i][j]` is the vector over the values of outcome j of intervention i."""

    company: str
    selection_reason: str
    record: Record
    probabilities: tuple[tuple[Vector, ...], ...]


@dataclass(frozen=True)
class OutcomeEvents:
    """All valid outcomes of one kind and window in a quarter, as columns of equal length.

    `keys` holds the public keys by name (week, ideation, behavior, imminence, selection_reason, age_band, language, region,
    surface, intervention, layer, ideation_before, imminence_before, depth_band, length_band, earlier_interventions, outcome)
    before a plan folds languages and regions that it does not list. `probabilities[i]` is the vector over `values`.
    """

    company: Texts
    user: Ints  # unique over companies
    record: Ints
    keys: dict[str, Texts]
    values: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedQuarter:
    """One quarter of the pool."""

    quarter: Quarter
    columns: QuarterColumns = field(repr=False)

    @cached_property
    def builder(self) -> RecordBuilder:
        """Makes records from the columns."""
        return RecordBuilder(self.columns)

    def records(self) -> Iterator[ValidRecord]:
        """Every valid record, by company and user."""
        c, builder = self.columns, self.builder
        vectors = self._vectors()
        starts = np.searchsorted(c.interventions.record, np.arange(len(c.records.user) + 1)).tolist()
        strata = tuple(c.parameters.strata)
        for index in c.valid.tolist():
            reason = STRATA[strata[int(c.records.stratum[index])]][0]
            found = tuple(tuple(v) for v in vectors[starts[index] : starts[index + 1]])
            yield ValidRecord(builder.company_of(index), reason, builder.final(index), found)

    def _vectors(self) -> list[list[Vector]]:
        found: list[list[Vector]] = [[] for _ in range(len(self.columns.interventions.record))]
        for block in self.columns.outcomes:
            values = block.plant.values
            for at, row in zip(block.intervention.tolist(), block.probabilities.tolist(), strict=True):
                found[at].append(dict(zip(values, row, strict=True)))
        return found

    def record_keys(self, index: Ints) -> dict[str, Texts]:
        """Public keys of records, before a plan folds languages and regions."""
        c, r, u = self.columns, self.columns.records, self.columns.users
        user = r.user[index]
        days = [self.quarter.start.date().toordinal() + d for d in range(93)]
        weeks = np.array([iso_week(type(self.quarter.start.date()).fromordinal(day)) for day in days])
        reasons = np.array([STRATA[s][0] for s in c.parameters.strata])
        ages = np.array([PUBLIC_AGE_BANDS[a] for a in codes("age_band")])
        return {
            "week": weeks[r.second[index] // 86_400],
            "ideation": np.array(codes("ideation"))[r.ideation[index]],
            "behavior": np.array(codes("behavior"))[r.behavior[index]],
            "imminence": np.array(codes("imminence"))[r.imminence[index]],
            "selection_reason": reasons[r.stratum[index]],
            "age_band": ages[u.age[user]],
            "language": np.array(u.languages)[u.language[user]],
            "region": np.array(u.regions)[u.region[user]],
            "surface": np.array(codes("surface"))[u.surface[user]],
            "length_band": _BANDS[depth_band(r.n_turns[index])],
        }

    def block(self, kind: str, window: str) -> OutcomeBlock:
        """The outcomes of one plant, withdrawn records included. Raises UsageError where none is planted."""
        for block in self.columns.outcomes:
            if (block.plant.kind, block.plant.window) == (kind, window):
                return block
        raise UsageError("No such outcome is planted.", "SimulationParameters.outcomes lists them.")

    def outcome_events(self, kind: str, window: str) -> OutcomeEvents:
        """The valid outcomes of one kind and window with their public keys and probabilities, without building records."""
        c, block = self.columns, self.block(kind, window)
        kept = ~c.changes.removed[c.interventions.record[block.intervention]]
        at, record = block.intervention[kept], c.interventions.record[block.intervention[kept]]
        i, user = c.interventions, c.records.user[record]
        earlier = np.array([band for band, _ in EARLIER_BANDS])
        keys = self.record_keys(record) | {
            "intervention": np.array(codes("intervention"))[i.type[at]],
            "layer": np.array(codes("layer"))[i.layer[at]],
            "ideation_before": np.array(codes("ideation"))[i.ideation_at[at]],
            "imminence_before": np.array(codes("imminence"))[i.imminence_at[at]],
            "depth_band": _BANDS[depth_band(i.turn[at])],
            "earlier_interventions": earlier[np.minimum(i.earlier[at], len(earlier) - 1)],
            "outcome": np.array(block.plant.values)[block.value[kept]],
        }
        company = np.array(c.parameters.company_ids)[c.users.company[user]]
        return OutcomeEvents(company, user, record, keys, block.plant.values, block.probabilities[kept])


@dataclass(frozen=True)
class SimulatedPool:
    """What the pool holds after intake, resolution included, with the truth about it."""

    parameters: SimulationParameters
    quarters: tuple[SimulatedQuarter, ...]

    def quarter(self, quarter: Quarter) -> SimulatedQuarter:
        """One quarter. Raises UsageError where it is not simulated."""
        for found in self.quarters:
            if found.quarter == quarter:
                return found
        raise UsageError("That quarter is not simulated.")


_BANDS = np.array([band for band, _ in DEPTH_BANDS])


def generate_quarter(parameters: SimulationParameters, quarter: Quarter) -> SimulatedQuarter:
    """Draws one quarter. Quarters are independent: each draws from streams of its own."""
    users = draw_users(parameters, quarter)
    records = draw_records(parameters, quarter, users)
    interventions = draw_interventions(parameters, quarter, users, records)
    outcomes = draw_outcomes(parameters, quarter, users, records, interventions)
    changes = draw_changes(parameters, quarter, users, records)
    return SimulatedQuarter(quarter, QuarterColumns(parameters, quarter, users, records, interventions, outcomes, changes))


def generate(parameters: SimulationParameters) -> SimulatedPool:
    """Draws all quarters in memory: no files, no text, no malformed records; the same draws that `simulate` writes."""
    return SimulatedPool(parameters, tuple(generate_quarter(parameters, q) for q in parameters.quarter_list))
