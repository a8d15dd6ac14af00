"""One user's rows never touch another's: with one user removed before intake, all others' scrubbed rows are byte-identical."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from stores import send
from submissions import accepted_rows, json_lines, rewrite, write_lines

from flows.drops import waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from flows.scrubbing import pending_parts, scrub_parts
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.at_rest import Room

PARAMETERS = SimulationParameters(
    seed=31, users=90, quarters=1, formats=("jsonl",), files_per_submission=1, submissions_per_quarter=1, malformed_share=0,
    text_share=0.5,
)  # fmt: skip


def scrubbed_rows(made: Path, root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    pool = Pool(root)
    (root / "config").mkdir(parents=True)
    (root / "config" / "companies.toml").write_bytes((made / "companies.toml").read_bytes())
    for manifest in sorted(made.glob("*/*/manifest.json")):
        send(pool, manifest.parent)
    for arrival in waiting(pool):
        take_in_submission(pool, *arrival)
    scrub_parts(pool, pending_parts(pool))
    rows = accepted_rows(root, partial(pool.keys_at_rest.existing, Room.SCRUBBED), "scrubbed")
    # The digest of the submission names the whole export, so it changes with any user; nothing else may.
    return {(row["unit"], row["record_id"]): {k: v for k, v in row.items() if k != "submission"} for row in rows}


@pytest.mark.timeout(600)
def test_removing_a_user_leaves_all_others_as_they_were(tmp_path: Path) -> None:
    made, fewer = tmp_path / "made", tmp_path / "fewer"
    for out in (made, fewer):
        simulate(out, PARAMETERS)
    export = next(fewer.glob("alder/*"))
    records = json_lines(export, "part-1.jsonl")
    removed = next(r["user_pseudonym"] for r in records if r.get("turns"))
    write_lines(export, "part-1.jsonl", [r for r in records if r["user_pseudonym"] != removed])
    rewrite(export, fewer / "keys" / "alder.key")
    whole, without = scrubbed_rows(made, tmp_path / "a"), scrubbed_rows(fewer, tmp_path / "b")
    gone = {key for key in whole if key not in without}
    assert len({unit for unit, _ in gone}) == 1
    assert sum(bool(row["turns"]) for row in without.values()) > 20
    assert all(without[key] == whole[key] for key in without)
