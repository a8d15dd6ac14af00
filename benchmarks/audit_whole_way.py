"""The canaries sent as companies send: signed, sealed, taken in, scrubbed, bounded in DuckDB, answered out of the ledger."""

import json
from pathlib import Path
from typing import Any

from aggregate.answer import Answer
from benchmarks.audit_canaries import COMPANIES, OWNER, QUARTER, RHO, Bools, privacy_of, questions, records_of
from flows.drops import drop_of, make_local_drops, public_keys, waiting
from flows.intake_steps import take_in_submission
from flows.pool import Pool
from flows.release_steps import make_plan, measure_release
from flows.scrubbing import pending_parts, scrub_parts
from intake.submission import submit
from sample_data.packing import data_file, pack, signed_manifest
from schemas.plan import RegisteredPlan
from schemas.signing import encode_key, new_private_key, public_key

TEXT = "My name is Jane Whitfield, write to jane.whitfield@example.org or call 202-555-0143."


def measured_whole_way(root: Path, included: Bools, split: bool = False) -> tuple[Answer, RegisteredPlan]:
    """Builds a pool below `root` and takes the canaries all the way to the stored answer.

    Args:
        split: the break: the canaries' company names a user differently in every record but the first, as if its pseudonym
            key had changed and it had not said so.
    """
    pool, keys = Pool(root), {company: new_private_key() for company in COMPANIES}
    operator = _configure(pool, keys)
    make_local_drops(pool)
    recipient, pool_key = (public_keys(pool)[name] for name in ("pool_recipient", "pool_key"))
    for company, key in keys.items():
        folder = _export(root / "exports" / company, company, key, _sent(company, included, split))
        with drop_of(pool, company) as drop:
            submit(folder, drop, recipient, pool_key=pool_key)
    for arrival in waiting(pool):
        told = take_in_submission(pool, *arrival)
        if told["decision"] != "accepted" or told["quarantined"]:
            raise RuntimeError("a submission of the audit was not taken in whole")
    scrub_parts(pool, pending_parts(pool))
    plan = make_plan(pool, QUARTER, operator)
    measure_release(pool, QUARTER)
    stored = pool.ledger.stored_answer(plan.hash)
    if stored is None:
        raise RuntimeError("nothing was measured")
    return Answer.from_bytes(stored), plan


def _sent(company: str, included: Bools, split: bool) -> list[dict[str, Any]]:
    rows = []
    for canary, record in records_of(company):
        if company == OWNER and not included[canary]:
            continue
        if company == OWNER and split and not record["record_id"].endswith("-0"):
            record["user_pseudonym"] += "-again"
        if record["person"]["language"] == "en":
            record["turns"] = [{"index": 1, "role": "user", "text": TEXT}]
        rows.append(record)
    return rows


def _export(folder: Path, company: str, key: bytes, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    content = pack(rows, "jsonl")
    (folder / "part-1.jsonl").write_bytes(content)
    files = [data_file("part-1.jsonl", "jsonl", content, len(rows))]
    signed = signed_manifest(company, "audit", str(QUARTER), f"{company}-1", f"{company}-key", files, key)
    (folder / "manifest.json").write_bytes(signed)
    return folder


def _configure(pool: Pool, keys: dict[str, bytes]) -> Path:
    """Registers companies and one operator, with the parameters and questions of the audit. Returns the operator's key file."""
    config = pool.root / "config"
    config.mkdir(parents=True)
    companies = "".join(
        f'[[company]]\nid = "{company}"\nagreement_id = "agr-{company}-1"\nsynthetic = true\n'
        f'[[company.key]]\nkey_id = "{company}-1"\npublic_key = "{encode_key(public_key(key))}"\n'
        "valid_from = 2026-01-01\nvalid_until = 2099-12-31\n"
        for company, key in keys.items()
    )
    (config / "companies.toml").write_text(companies, encoding="utf-8")
    own, key_file = new_private_key(), pool.root / "operator.key"
    key_file.touch(mode=0o600)
    key_file.write_text(encode_key(own) + "\n", encoding="ascii")
    person = f'[[person]]\nid = "operator"\nrole = "operator"\npublic_key = "{encode_key(public_key(own))}"\n'
    (config / "people.toml").write_text(person, encoding="utf-8")
    (config / "privacy.toml").write_text(_toml(privacy_of(RHO).model_dump(mode="json")), encoding="utf-8")
    (config / "release_plan.toml").write_text(_toml(questions()), encoding="utf-8")
    return key_file


def _toml(values: dict[str, Any]) -> str:
    """A file of plain values, tables and lists of tables; of these, JSON's own writing is TOML's."""
    plain = {name: value for name, value in values.items() if not isinstance(value, dict) and not _tables(value)}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in plain.items())
    for name, value in values.items():
        if isinstance(value, dict):
            text += f"[{name}]\n{_toml(value)}"
        elif _tables(value):
            text += "".join(f"[[{name}]]\n{_toml(each)}" for each in value)
    return text


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
