"""What was planted, in one compact file beside the submissions."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from sample_data.emerging_plants import GROWING_KEYS
from sample_data.parameters import SimulationParameters
from sample_data.planted_terms import term_texts
from sample_data.population import codes
from sample_data.product_changes import registered
from sample_data.rates import chance_factors

SPAN_COLUMNS = ("company", "submission_id", "file", "row", "record_id", "turn", "start", "end", "kind")
MALFORMED_COLUMNS = ("company", "submission_id", "file", "row", "kind", "code", "needs_memory")
DUPLICATE_COLUMNS = ("company", "submission_id", "file", "row", "record_id", "needs_memory")


@dataclass
class CompanyCounts:
    """What one company sent in one quarter. `valid` and `users` are after duplicates, corrections and withdrawals."""

    records: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    corrections: int = 0
    record_withdrawals: int = 0
    user_withdrawals: int = 0
    submission_withdrawals: int = 0
    conversations_with_text: int = 0
    valid: int = 0
    users: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, codes sorted."""
        return {**self.__dict__, "quarantined": dict(sorted(self.quarantined.items()))}


@dataclass
class SubmissionTruth:
    """One submission: its rows, and what must become of them."""

    company: str
    submission_id: str
    quarter: str
    period: str
    records: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON, codes sorted."""
        return {**self.__dict__, "quarantined": dict(sorted(self.quarantined.items()))}


SpanRow = tuple[str, str, str, int, str, int, int, int, str]
MalformedRow = tuple[str, str, str, int, str, str, bool]
DuplicateRow = tuple[str, str, str, int, str, bool]


@dataclass
class Truth:
    """All that a test needs to know of a simulation. Rows count from 1; offsets are characters of the text as submitted."""

    parameters: SimulationParameters
    counts: dict[str, dict[str, CompanyCounts]] = field(default_factory=dict)  # by quarter and company
    submissions: list[SubmissionTruth] = field(default_factory=list)  # in the order in which they must be sent
    pii: list[SpanRow] = field(default_factory=list)
    must_survive: list[SpanRow] = field(default_factory=list)
    malformed: list[MalformedRow] = field(default_factory=list)
    duplicates: list[DuplicateRow] = field(default_factory=list)
    writers: dict[str, list[dict[str, dict[str, int]]]] = field(default_factory=dict)  # by quarter, planted term and company
    terms: list[SpanRow] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The content of truth.json. Lists of rows come as `columns` and `rows`."""
        release = self.parameters.model_release
        return {
            "synthetic": True,
            "parameters": self.parameters.model_dump(mode="json"),
            "companies": [
                {"id": company, "not_collected": list(self.parameters.not_collected.get(company, ()))}
                for company in self.parameters.company_ids
            ],
            "model_release": release.model_dump(mode="json") if release else None,
            "quarters": {q: {c: counts.as_dict() for c, counts in by.items()} for q, by in self.counts.items()},
            "submissions": [s.as_dict() for s in self.submissions],
            "malformed": {"columns": MALFORMED_COLUMNS, "rows": self.malformed},
            "duplicates": {"columns": DUPLICATE_COLUMNS, "rows": self.duplicates},
            "pii": {"columns": SPAN_COLUMNS, "rows": self.pii},
            "must_survive": {"columns": SPAN_COLUMNS, "rows": self.must_survive},
            **self._emerging(),
        }

    def _emerging(self) -> dict[str, Any]:
        """What is new, what grows and what changed, by quarter; nothing where nothing of it is planted."""
        p, found = self.parameters, dict[str, Any]()
        if p.terms:
            found["terms"] = [
                {**plant.model_dump(mode="json"), "text": text, "written": {q: by[place] for q, by in self.writers.items()}}
                for place, (plant, text) in enumerate(zip(p.terms, term_texts(p), strict=True))
            ]
            found["term_spans"] = {"columns": SPAN_COLUMNS, "rows": self.terms}
        if p.growing:
            found["growing"] = [plant.model_dump(mode="json") for plant in p.growing]
        if p.overdispersion:
            found["chance_factors"] = {
                str(quarter): {
                    key: dict(zip(codes(key), chance_factors(p, quarter, key).tolist(), strict=True)) for key in GROWING_KEYS
                }
                for quarter in p.quarter_list
            }
        if p.changes:
            found["changes"] = [change.model_dump(mode="json", exclude_defaults=True) for change in registered(p)]
            found["effects"] = [plant.model_dump(mode="json") for plant in p.changes]
        return found

    def write(self, path: Path) -> None:
        """Writes truth.json."""
        path.write_bytes(orjson.dumps(self.as_dict()) + b"\n")
