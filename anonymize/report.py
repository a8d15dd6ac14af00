"""What a scrub tells about itself: counts only, never text."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

OTHER_LANGUAGES = "other"
"""Where languages are counted: all that the scrub does not read. What a record declares is not told."""


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Give the Wilson score interval of a proportion; (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return 0.0 if successes == 0 else low, 1.0 if successes == trials else high  # where rounding would just miss them


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """Counts of one shard or of many: `counts` of findings by entity, `withheld` turns by reason, `languages` turns with text.

    They are exact counts of one company's records: for the operator and that company, never for anybody else. Of it all
    only the canary recall says nothing of any user.
    """

    records: int = 0
    turns: int = 0
    characters: int = 0
    languages: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    withheld: Mapping[str, int] = field(default_factory=dict)
    canaries: int = 0
    canaries_caught: int = 0
    ruleset_version: str = ""

    def merge(self, other: "ScrubReport") -> "ScrubReport":
        """Add the counts of another report. Of two different ruleset versions none is kept."""
        same = self.ruleset_version == other.ruleset_version or not self.records
        return ScrubReport(
            records=self.records + other.records,
            turns=self.turns + other.turns,
            characters=self.characters + other.characters,
            languages=_sorted(Counter(self.languages) + Counter(other.languages)),
            counts=_sorted(Counter(self.counts) + Counter(other.counts)),
            withheld=_sorted(Counter(self.withheld) + Counter(other.withheld)),
            canaries=self.canaries + other.canaries,
            canaries_caught=self.canaries_caught + other.canaries_caught,
            ruleset_version=other.ruleset_version if same else "",
        )

    @property
    def language_coverage(self) -> float:
        """Share of turns with text whose declared language the scrub reads; 1 where there is no text."""
        turns = sum(self.languages.values())
        return 1 - self.languages.get(OTHER_LANGUAGES, 0) / turns if turns else 1.0

    @property
    def withheld_share(self) -> float:
        """Share of turns that were withheld."""
        return sum(self.withheld.values()) / self.turns if self.turns else 0.0

    @property
    def canary_recall(self) -> tuple[float, float, float]:
        """Recall on the planted canaries with its Wilson interval: the only figure that may reach a public page."""
        share = self.canaries_caught / self.canaries if self.canaries else 0.0
        return (share, *wilson(self.canaries_caught, self.canaries))

    def as_dict(self) -> dict[str, Any]:
        """All of it for JSON, shares and the interval too."""
        recall, low, high = self.canary_recall
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "withheld_share": self.withheld_share,
            "language_coverage": self.language_coverage,
            "canary_recall": {"estimate": recall, "ci_low": low, "ci_high": high},
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "ScrubReport":
        """The report that `as_dict` told of."""
        return cls(**{each.name: told[each.name] for each in fields(cls) if each.name in told})


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
