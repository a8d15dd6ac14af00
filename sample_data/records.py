"""Records in contract shape, built from the columns of a quarter."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from sample_data.changes import Changes
from sample_data.draws import Ints, name_of
from sample_data.effects import Interventions, OutcomeBlock, released
from sample_data.outcome_plants import DOMAIN
from sample_data.parameters import SimulationParameters
from sample_data.population import Records, Users, codes
from sample_data.product_changes import experiments
from schemas.periods import Quarter

Record = dict[str, Any]
Vector = Mapping[str, float]


@dataclass(frozen=True)
class QuarterColumns:
    """All that was drawn for one quarter, column by column; withdrawn records are in it, malformed ones are not."""

    parameters: SimulationParameters
    quarter: Quarter
    users: Users
    records: Records
    interventions: Interventions
    outcomes: tuple[OutcomeBlock, ...]
    changes: Changes

    @property
    def valid(self) -> Ints:
        """Indices of the records that count after withdrawals and corrections."""
        return np.flatnonzero(~self.changes.removed)


def moment_text(quarter: Quarter, second: int) -> str:
    """RFC 3339 in UTC of a second of the quarter."""
    moment: datetime = quarter.start + timedelta(seconds=second)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def change_id(columns: QuarterColumns, kind: str, index: int) -> str:
    """Id of a correction, withdrawal or other later row."""
    return kind[0] + name_of(columns.parameters.seed, columns.quarter, kind, index)


class RecordBuilder:
    """Builds the records of one quarter. Each call makes a new dict, which the caller may change."""

    def __init__(self, columns: QuarterColumns) -> None:
        self._c = columns
        r, u = columns.records, columns.users
        self._names = {name: codes(name) for name in _LISTS}
        self._released = released(columns.parameters, columns.quarter, u, r).tolist()
        self._lists = {name: getattr(r, name).tolist() for name in r.__dataclass_fields__ if name not in ("ids",)}
        self._users: dict[str, list[int]] = {name: getattr(u, name).tolist() for name in _USER_COLUMNS}
        self._arms, arm = experiments(columns.parameters, columns.quarter, u, r)
        self._arm = arm.tolist()
        self._strata = tuple(columns.parameters.strata)
        self._interventions = self._build_interventions()
        counts = np.bincount(columns.interventions.record, minlength=len(r.user))
        self._starts = np.concatenate([[0], np.cumsum(counts)]).tolist()

    def _build_interventions(self) -> list[Record]:
        i = self._c.interventions
        types, layers, levels, near = (codes(n) for n in ("intervention", "layer", "ideation", "imminence"))
        columns = zip(
            i.turn.tolist(), i.type.tolist(), i.layer.tolist(), i.ideation_at.tolist(), i.imminence_at.tolist(), strict=True
        )
        found: list[Record] = [
            {
                "turn": turn,
                "type": types[kind],
                "layer": layers[layer],
                "ideation_at": levels[level],
                "imminence_at": near[imminence],
                "outcomes": [],
            }
            for turn, kind, layer, level, imminence in columns
        ]
        bases = codes("basis")
        for block in self._c.outcomes:
            kind, window, values = block.plant.kind, block.plant.window, block.plant.values
            for at, value, basis in zip(block.intervention.tolist(), block.value.tolist(), block.basis.tolist(), strict=True):
                found[at]["outcomes"].append({"kind": kind, "value": values[value], "window": window, "basis": bases[basis]})
        return found

    def user_of(self, index: int) -> int:
        """Index of the user of a record."""
        return int(self._lists["user"][index])

    def company_of(self, index: int) -> str:
        """Company of a record."""
        return self._c.parameters.company_ids[self._users["company"][self.user_of(index)]]

    def new(self, index: int) -> Record:
        """The record as status `new`, without text. Its interventions are shared with later calls: copy before changing."""
        f, n, c = self._lists, self._names, self._c
        user = f["user"][index]
        lists = {name: [n[code][x] for x in f[name][index] if x >= 0] for name, code in _PAIRS.items()}
        return {
            "domain": DOMAIN,
            "record_id": c.records.ids[index],
            "record_status": "new",
            "user_pseudonym": c.users.pseudonyms[user],
            "started_at": moment_text(c.quarter, f["second"][index]),
            "selection_stratum": self._strata[f["stratum"][index]],
            "event_class": n["event_class"][f["event_class"][index]],
            "origin": "synthetic",
            "sharing_basis": n["sharing_basis"][f["basis"][index]],
            "deployment": self._deployment(index, user),
            "person": {
                "age_band": n["age_band"][self._users["age"][user]],
                "age_source": n["age_source"][self._users["age_source"][user]],
                "language": c.users.languages[self._users["language"][user]],
                "region": c.users.regions[self._users["region"][user]],
            },
            "risk": {
                "ideation": n["ideation"][f["ideation"][index]],
                "behavior": n["behavior"][f["behavior"][index]],
                "behavior_recency": n["behavior_recency"][f["recency"][index]],
                "nssi": n["nssi"][f["nssi"][index]],
                "imminence": n["imminence"][f["imminence"][index]],
                "speech_form": lists["speech"],
                "subject": n["subject"][f["subject"][index]],
                "first_turn": f["first_turn"][index] or None,
                "peak_turn": f["peak_turn"][index] or None,
                "label_source": n["label_source"][f["label_source"][index]],
                "confidence": n["confidence"][f["confidence"][index]],
            },
            "evasion": {"tactics": lists["tactics"], "bypassed": n["bypassed"][f["bypassed"][index]]},
            "n_turns": f["n_turns"][index],
            "turns": [],
            "interventions": self._interventions[self._starts[index] : self._starts[index + 1]],
            "failure_modes": lists["failures"],
            "human_review": n["human_review"][f["review"][index]],
        }

    def _deployment(self, index: int, user: int) -> Record:
        company = self.company_of(index)
        release = self._c.parameters.model_release
        version = "2026.1" if release is None else release.after if self._released[index] else release.before
        experiment = None
        if self._arm[index] >= 0:
            name, arm = self._arms[self._arm[index]]
            experiment = {"id": name, "arm": arm, "assigned": "randomised_user"}
        return {
            "surface": self._names["surface"][self._users["surface"][user]],
            "model_family": f"{company}-chat",
            "model_version": version,
            "safety_config": "default-2",
            "experiment": experiment,
        }

    def as_first_sent(self, index: int) -> Record:
        """What was sent at first of a record that is corrected later: the level not yet known, outcomes still pending."""
        record = self.new(index)
        risk, unknown = record["risk"], "present_level_unknown"
        record["risk"] = {**risk, "ideation": risk["ideation"] if risk["ideation"] == "none" else unknown, "confidence": "low"}
        record["human_review"] = "none"
        record["interventions"] = [
            {**i, "outcomes": [{**o, "value": "pending"} for o in i["outcomes"]]} for i in record["interventions"]
        ]
        if not self._lists["at_risk"][index]:
            record["risk"]["ideation"] = risk["ideation"]
        return record

    def correction(self, index: int) -> Record:
        """The correction that takes the place of what was sent at first: the record as drawn, under an id of its own."""
        record = self.new(index)
        record["supersedes"], record["supersedes_started_at"] = record["record_id"], record["started_at"]
        record["record_id"] = change_id(self._c, "correction", index)
        record["record_status"] = "correction"
        record["risk"] = {**record["risk"], "label_source": "classifier_human_confirmed", "confidence": "high"}
        return record

    def final(self, index: int) -> Record:
        """The record as it counts in the end: itself, or its correction."""
        return self.correction(index) if self._c.changes.corrected[index] >= 0 else self.new(index)

    def record_withdrawal(self, index: int) -> Record:
        """The row that takes one record back."""
        return {
            "domain": DOMAIN,
            "record_id": change_id(self._c, "withdrawal", index),
            "record_status": "withdrawal",
            "scope": "record",
            "user_pseudonym": self._c.users.pseudonyms[self.user_of(index)],
            "supersedes": self._c.records.ids[index],
            "supersedes_started_at": moment_text(self._c.quarter, self._lists["second"][index]),
        }

    def user_withdrawal(self, user: int) -> Record:
        """The row that takes back every record of a user in the quarter."""
        seconds = int((self._c.quarter.end - self._c.quarter.start).total_seconds())
        return {
            "domain": DOMAIN,
            "record_id": change_id(self._c, "user-withdrawal", user),
            "record_status": "withdrawal",
            "scope": "user",
            "user_pseudonym": self._c.users.pseudonyms[user],
            "supersedes_started_at": moment_text(self._c.quarter, seconds // 2),
        }


_LISTS = (
    "event_class", "sharing_basis", "age_band", "age_source", "ideation", "behavior", "behavior_recency", "nssi", "imminence",
    "speech_form", "subject", "label_source", "confidence", "tactic", "bypassed", "failure_mode", "human_review", "surface",
)  # fmt: skip
_USER_COLUMNS = ("company", "age", "age_source", "language", "region", "surface")
_PAIRS = {"speech": "speech_form", "tactics": "tactic", "failures": "failure_mode"}
