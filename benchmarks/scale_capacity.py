"""The capacity plan: what a quarter needs, from unit costs that other benchmarks measured.

    python -m benchmarks.scale_capacity

Reads `build/bench/scale.json` (`python -m benchmarks.scale_pipeline`); prints the tables of `docs/guides/capacity.md`.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.report import reported

SIZES = {3: 10**6, 10: 10**7, 30: 10**8}
"""Conversations a quarter of a pool of so many companies."""

TEXT = {"a tenth with text": 0.1, "all with text": 1.0}
CHARACTERS = 2_400  # of a conversation with text: twelve turns of two hundred
CORES = (2, 32)
_EXPONENTS = (6, 5)  # of the runs that costs are taken from: the largest there is


@dataclass(frozen=True)
class UnitCosts:
    """Processor seconds and bytes of one conversation, of one million characters of text, and of one release, as measured on so many conversations."""

    conversations: int
    take_in: float
    measure: float
    scrub_million: float
    release: float
    sent_bytes: float
    kept_bytes: float
    released_bytes: float
    peaks: dict[str, float]

    @classmethod
    def measured(cls) -> "UnitCosts":
        """From the largest run of the whole way. Ends the program where there was none."""
        found = reported("scale")
        done = [f"1e{exponent}" for exponent in _EXPONENTS if f"publish_1e{exponent}_processor_seconds" in found]
        if not done:
            sys.exit("run `python -m benchmarks.scale_pipeline` first")
        name = done[0]
        records = found[f"pipeline_{name}_records"]
        kept = found[f"pipeline_{name}_accepted_bytes"] + found[f"pipeline_{name}_scrubbed_bytes"]
        return cls(
            conversations=round(records),
            take_in=found[f"take_in_{name}_processor_seconds"] / records,
            measure=found[f"measure_{name}_processor_seconds"] / records,
            scrub_million=found[f"scrub_{name}_processor_seconds"] / found[f"pipeline_{name}_characters"] * 1e6,
            release=found[f"publish_{name}_processor_seconds"],
            sent_bytes=found[f"pipeline_{name}_sent_bytes"] / records,
            kept_bytes=kept / records,
            released_bytes=found[f"pipeline_{name}_released_bytes"],
            peaks={stage: found[f"{stage}_{name}_peak_mb"] for stage in ("take_in", "scrub", "measure", "publish")},
        )


def lines(costs: UnitCosts) -> Iterator[str]:
    """The unit costs and the tables, as Markdown."""
    yield "| unit cost | processor s |"
    yield "|---|---|"
    yield f"| taking in 1,000 conversations | {1000 * costs.take_in:.2f} |"
    yield f"| scrubbing a million characters | {costs.scrub_million:.0f} |"
    yield f"| measuring 1,000 conversations, their text searched for terms | {1000 * costs.measure:.2f} |"
    yield f"| checks, pages and files of a release | {costs.release:.0f} |"
    yield ""
    yield f"| stage | peak MiB at {costs.conversations:,} conversations |"
    yield "|---|---|"
    for stage, peak in costs.peaks.items():
        yield f"| {stage.replace('_', ' ')} | {peak:.0f} |"
    for said, share in TEXT.items():
        yield ""
        header = " | ".join(f"days on {cores} cores" for cores in CORES)
        yield f"| companies | conversations a quarter, {said} | text GB | take in, core h | scrub, core h | measure, core h | {header} | scrub's share | sent GB | kept GB |"
        yield "|---|" + "---|" * (8 + len(CORES))
        for companies, size in SIZES.items():
            yield _line(costs, companies, size, share)


def _line(costs: UnitCosts, companies: int, size: int, share: float) -> str:
    text = size * share * CHARACTERS
    hours = [size * costs.take_in / 3600, text / 1e6 * costs.scrub_million / 3600, size * costs.measure / 3600]
    days = [(hours[0] + hours[1] / cores + hours[2]) / 24 for cores in CORES]  # the scrub alone is spread over all
    stored = [(size * each + text * 0.5) / 1e9 for each in (costs.sent_bytes, costs.kept_bytes)]  # text packs to about half
    cells = [
        str(companies),
        f"{size:,}",
        f"{text / 1e9:.1f}",
        *(_short(hour) for hour in hours),
        *(_short(day) for day in days),
        f"{hours[1] / sum(hours):.0%}",
    ]
    return "| " + " | ".join([*cells, *(f"{each:.1f}" for each in stored)]) + " |"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines(UnitCosts.measured())) + "\n")
