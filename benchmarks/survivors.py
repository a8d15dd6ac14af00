"""What of the planted private values survived the scrub, and which helplines did not: from a pool's files and its truth.

`python -m benchmarks.survivors SEED...` scrubs single sentences of the simulation with values drawn from other seeds, and prints
what survived by kind.
"""

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from flows.pool import Pool
from intake.limits import DEFAULT_LIMITS
from intake.reading import read_rows
from schemas.at_rest import Room, decryption
from schemas.periods import Quarter
from schemas.unit import unit_id

Turns = dict[int, str]
WITHHELD = "<WITHHELD>"


@dataclass(frozen=True)
class Survival:
    """Planted and surviving values by kind, helplines planted and kept, and the conversations in which a name leaked."""

    planted: Counter[str]
    survived: Counter[str]
    helplines: int
    helplines_kept: int
    helplines_withheld: int
    conversations: int
    leaking_conversations: int
    turns: int
    withheld_turns: int


def survival(root: Path, made: Path) -> Survival:
    """Compares the scrubbed records below `root` with the truth of the simulation in `made`.

    A value survives where its text stands anywhere in the scrubbed turn. A helpline counts as kept where its number still stands
    in its turn, a withheld turn too; where it does not and the turn was withheld, it is counted apart.
    """
    truth = json.loads((made / "truth.json").read_text(encoding="utf-8"))
    sent, scrubbed = _sent(made, truth), _scrubbed(root)
    planted, survived, leaking, seen = Counter[str](), Counter[str](), set[Any](), set[Any]()
    for key, turn, value, kind in _marks(truth["pii"], sent):
        text = scrubbed.get(key, {}).get(turn)
        if text is None:
            continue
        planted[kind] += 1
        seen.add(key)
        if value in text:
            survived[kind] += 1
            leaking.add(key)
    kept = lost = withheld = 0
    for key, turn, value, _ in _marks(truth["must_survive"], sent):
        text = scrubbed.get(key, {}).get(turn)
        if text is not None:
            stands = _stands(value, text)
            kept += stands
            withheld += not stands and text.startswith(WITHHELD)
            lost += not stands and not text.startswith(WITHHELD)
    texts = [text for turns in scrubbed.values() for text in turns.values() if text]
    masked = sum(text.startswith(WITHHELD) for text in texts)
    return Survival(planted, survived, kept + lost + withheld, kept, withheld, len(seen), len(leaking), len(texts), masked)


def _stands(number: str, text: str) -> bool:
    """Whether a helpline's digits stand in a text as a number of their own, however they are parted."""
    return re.search(r"(?<!\d)" + r"[ ./()‐-―-]{0,2}".join(re.findall(r"\d+", number)) + r"(?!\d)", text) is not None


def _marks(marks: dict[str, Any], sent: dict[Any, Turns]) -> Iterator[tuple[Any, int, str, str]]:
    for row in marks["rows"]:
        mark = dict(zip(marks["columns"], row, strict=True))
        text = sent[mark["company"], mark["submission_id"], mark["file"], mark["row"]]
        yield text["key"], mark["turn"], text[mark["turn"]][mark["start"] : mark["end"]], mark["kind"]  # type: ignore[index]


def _sent(made: Path, truth: dict[str, Any]) -> dict[Any, Any]:
    wanted = {tuple(row[:4]) for part in ("pii", "must_survive") for row in truth[part]["rows"]}
    found: dict[Any, Any] = {}
    for manifest in sorted(made.glob("*/*/manifest.json")):
        company, submission = manifest.parent.parent.name, manifest.parent.name
        for file in orjson.loads(manifest.read_bytes())["files"]:
            with (manifest.parent / file["path"]).open("rb") as stream:
                for row, raw in read_rows(stream, file["bytes"], file["format"], DEFAULT_LIMITS):
                    place = (company, submission, file["path"], row)
                    if place in wanted and isinstance(raw, dict):
                        key = (unit_id(company, raw["user_pseudonym"]), raw["record_id"])
                        found[place] = {"key": key, **{turn["index"]: turn["text"] for turn in raw["turns"]}}
    return found


def _scrubbed(root: Path) -> dict[tuple[str, str], Turns]:
    found: dict[tuple[str, str], Turns] = {}
    for part in sorted((root / "scrubbed").rglob("*.parquet")):
        quarter, company = part.relative_to(root / "scrubbed").parts[:2]
        readable = decryption(Pool(root).keys_at_rest.existing(Room.SCRUBBED, Quarter.parse(quarter), company))
        file = pq.ParquetFile(part, decryption_properties=readable)
        for row in file.read(columns=["unit", "record_id", "turns"]).to_pylist():
            found[row["unit"], row["record_id"]] = {turn["index"]: turn["text"] for turn in row["turns"] or ()}
    return found


def sentence_survival(seeds: list[int], draws: int = 6) -> tuple[Counter[str], Counter[str]]:
    """Scrubs each sentence that plants a value `draws` times a seed, alone; planted and surviving values by language and kind."""
    from anonymize.scrub import Conversation
    from benchmarks.scrub import scrubber
    from sample_data.phrases import PII_SENTENCES
    from sample_data.pii import draw_value

    engine = scrubber()
    planted, survived = Counter[str](), Counter[str]()
    for seed in seeds:
        chance = random.Random(seed)
        made = [
            (language, kind, draw_value("person_name" if kind == "name_again" else kind, chance, language), sentence)
            for language, kinds in PII_SENTENCES.items()
            for kind, sentences in kinds.items()
            for sentence in sentences
            for _ in range(draws)
        ]
        chats = [Conversation(language, (sentence.format(value),)) for language, _, value, sentence in made]
        for (language, kind, value, _), done in zip(made, engine.scrub_conversations(chats), strict=True):
            planted[f"{language}_{kind}"] += 1
            survived[f"{language}_{kind}"] += value in done.turns[0]
    return planted, survived


if __name__ == "__main__":
    all_planted, all_survived = sentence_survival([int(seed) for seed in sys.argv[1:]] or [7])
    for name in sorted(all_planted):
        print(f"{name:24} {all_survived[name]:>6} of {all_planted[name]:>6}")
    print(f"{'all':24} {all_survived.total():>6} of {all_planted.total():>6}")
