"""What a scrub tells about itself: counts only, never text."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Give the Wilson score interval of a proportion; (0, 1) where nothing was tried."""
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    centre = share + z * z / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """Counts of one shard or of many; `withheld` by reason, `counts` by entity."""

    records: int = 0
    turns: int = 0
    characters: int = 0
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
            counts=_sorted(Counter(self.counts) + Counter(other.counts)),
            withheld=_sorted(Counter(self.withheld) + Counter(other.withheld)),
            canaries=self.canaries + other.canaries,
            canaries_caught=self.canaries_caught + other.canaries_caught,
            ruleset_version=other.ruleset_version if same else "",
        )

    @property
    def withheld_share(self) -> float:
        """Share of turns that were withheld."""
        return sum(self.withheld.values()) / self.turns if self.turns else 0.0

    @property
    def canary_recall(self) -> tuple[float, float, float]:
        """Recall on the planted canaries with its Wilson interval: the only figure that may reach a public page."""
        share = self.canaries_caught / self.canaries if self.canaries else 0.0
        return (share, *wilson(self.canaries_caught, self.canaries))


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))
