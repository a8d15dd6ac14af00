"""Text of many turns, through all of collecting, spelling and bounding: seconds, and most memory, in a process of its own.

    python -m benchmarks.terms_scale TURNS FOLDER

Ten turns of twelve words a record, two records a user, words by Zipf from wordfreq's list and, one in fifty, from 200,000 of no list.
"""

import json
import os
import string
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from wordfreq import top_n_list

from aggregate.bounding import MeasurementSettings
from aggregate.mechanisms.terms import prepare_rounds
from aggregate.terms.collecting import user_terms
from flows.pool import packaged_config
from schemas.arrow import pool_schema
from schemas.at_rest import encryption
from schemas.parameters import load_privacy_parameters
from schemas.periods import Quarter
from schemas.plan import RegisteredPlan, load_release_plan
from schemas.stages import EncryptedFiles, ScrubbedRecords
from schemas.unit import unit_id

TURNS_A_RECORD, WORDS, RECORDS_A_FILE, COMPANIES = 10, 12, 4096, ("alder", "birch", "cedar", "dogwood")
KEY, SECRET, QUARTER = b"k" * 32, b"s" * 32, Quarter(2026, 1)


def plan() -> RegisteredPlan:
    """The packaged plan, registered by nobody: nothing is drawn here."""
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    questions = load_release_plan(packaged_config("release_plan.toml"), privacy)
    return RegisteredPlan(
        quarter=str(QUARTER),
        version=1,
        synthetic=True,
        reason="benchmark",
        planner="benchmark",
        contributors=len(COMPANIES),
        not_collected=(),
        rho=str(privacy.budget.first_release_rho),
        threshold_delta=str(privacy.budget.first_release_threshold_delta),
        secret_commitment="0" * 64,
        parameters=privacy.model_dump(mode="json"),
        plan=questions.model_dump(mode="json", by_alias=True),
    )


def write(turns: int, folder: Path) -> tuple[Path, ...]:
    """Scrubbed files with so many turns."""
    rng, records = np.random.default_rng(0), turns // TURNS_A_RECORD
    listed = np.array(top_n_list("en", 50_000))
    letters = np.array(list(string.ascii_lowercase))
    coined = np.array(["zq" + "".join(row) for row in letters[rng.integers(0, 26, (200_000, 6))]])
    chances = [1 / np.arange(1, len(words) + 1) for words in (listed, coined)]
    schema, paths = pool_schema(), []
    for number, start in enumerate(range(0, records, RECORDS_A_FILE)):
        rows = min(RECORDS_A_FILE, records - start)
        shape = rows * TURNS_A_RECORD * WORDS
        common, rare = (
            words[rng.choice(len(words), shape, p=chance / chance.sum())]
            for words, chance in zip((listed, coined), chances, strict=True)
        )
        words = np.where(rng.random(shape) < 0.02, rare, common).reshape(-1, WORDS)
        texts = [" ".join(row) for row in words.tolist()]
        users = [(start + row) // 2 for row in range(rows)]
        companies = [COMPANIES[user % len(COMPANIES)] for user in users]
        told: dict[str, list[object]] = {
            "company": list(companies),
            "unit": [unit_id(company, str(user)) for company, user in zip(companies, users, strict=True)],
            "record_id": [str(start + row) for row in range(rows)],
            "content": [unit_id("content", str(start + row)) for row in range(rows)],
            "record_status": ["new"] * rows,
            "pseudonym_unit": ["account"] * rows,
            "domain": ["suicide_self_harm"] * rows,
            "origin": ["synthetic"] * rows,
            "person": [{"age_band": "18_24", "language": "en"}] * rows,
            "turns": [
                [
                    {"index": turn + 1, "role": ("user", "assistant")[turn % 2], "text": texts[row * TURNS_A_RECORD + turn]}
                    for turn in range(TURNS_A_RECORD)
                ]
                for row in range(rows)
            ],
        }
        columns = [pa.array(told.get(field.name, [None] * rows), field.type) for field in schema]
        path = folder / f"part-{number:05}.parquet"
        pq.write_table(pa.table(columns, schema=schema), path, encryption_properties=encryption(KEY))
        paths.append(path)
    return tuple(paths)


def main(turns: int, folder: Path) -> None:
    """Writes the files in a child, so that its memory is not counted, then collects."""
    child = os.fork()
    if not child:
        write(turns, folder)
        os._exit(0)
    os.waitpid(child, 0)
    paths = tuple(sorted(folder.glob("part-*.parquet")))
    asked, start = plan(), time.perf_counter()
    records = ScrubbedRecords(QUARTER, (EncryptedFiles(paths, KEY),), COMPANIES)
    with user_terms(records, asked, {}, SECRET, folder / "scratch", MeasurementSettings()) as found:
        searches = [prepare_rounds(one, one.search.rule, asked.rho_of(one.search.name), Fraction(1, 10**9)) for one in found]
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "peak_mb": peak_own(), "candidates": sum(len(one.first) for one in searches)}))


def peak_own() -> float:
    """Most memory of this process alone, in MiB: not of the child that wrote the files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
