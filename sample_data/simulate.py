"""`commons simulate`: signed, valid submissions of several companies over several quarters, with a file of truth."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from sample_data.generate import SimulatedQuarter, generate_quarter
from sample_data.packing import data_file, pack, signed_manifest
from sample_data.parameters import SimulationParameters
from sample_data.product_changes import registry_text
from sample_data.submission_rows import Row, RowMaker, SubmissionPlan, malformed_queue, submission_plans
from sample_data.texts import TextSource
from sample_data.truth import CompanyCounts, SubmissionTruth, Truth
from schemas.errors import InternalError, UsageError
from schemas.manifest import MANIFEST_NAME
from schemas.periods import Quarter
from schemas.signing import encode_key, public_key

REGISTRY_HEAD = "# Companies of a simulation. Keys are demonstration keys: they follow from the seed.\n"

Progress = Callable[[str, float], None]


def demonstration_key(seed: int, company: str) -> bytes:
    """A company's private signing key in the simulation. It follows from the seed: never sign real data with it."""
    return sha256(b"incident-commons demonstration key\x00%d\x00" % seed + company.encode()).digest()


def simulate(
    out: Path,
    parameters: SimulationParameters,
    conversations: Path | None = None,
    progress: Progress | None = None,
) -> Truth:
    """Writes `out/<company>/<submission_id>/`, `companies.toml`, `keys/<company>.key` and `truth.json`; `changes.toml` where
    changes are planted.

    The same parameters and conversations give byte-identical files. Keys are demonstration keys that follow from the seed.
    What stands in `out` from an earlier simulation is replaced; of one that fails nothing is left. Submissions must be sent in
    the order of `Truth.submissions`, because corrections name records of earlier ones.

    Args:
        out: folder to write; it is made where it is missing.
        parameters: what to plant.
        conversations: JSON Lines of `{"turns": [{"role", "text"}]}`; their turns take the place of our templates.
        progress: called with what is being done and the share that is done.

    Raises:
        UsageError: where `out` holds something else, or the conversations cannot be read.
    """
    _clear(out)
    try:
        return _simulate(out, parameters, conversations, progress or (lambda step, share: None))
    except BaseException:
        _empty(out)
        raise


def _simulate(out: Path, parameters: SimulationParameters, conversations: Path | None, tell: Progress) -> Truth:
    texts, truth = TextSource(parameters, conversations), Truth(parameters)
    steps, kinds = len(parameters.quarter_list) * parameters.companies, malformed_queue(parameters.seed)
    _write_companies(out, parameters)  # first: it marks the folder as ours
    for q, quarter in enumerate(parameters.quarter_list):
        simulated = generate_quarter(parameters, quarter)
        written = texts.of(simulated)
        maker = RowMaker(simulated, written, kinds)
        truth.counts[str(quarter)], truth.writers[str(quarter)] = {}, list(written.terms.counts())
        for c, company in enumerate(parameters.company_ids):
            tell(f"{company} {quarter}", (q * parameters.companies + c) / steps)
            if not parameters.sizes_in(quarter)[c]:
                continue
            counts = truth.counts[str(quarter)][company] = _valid_counts(simulated, c)
            for plan in submission_plans(simulated, company):
                _write_submission(out, maker, plan, quarter, truth, counts)
    if parameters.changes:
        (out / "changes.toml").write_text(registry_text(parameters), encoding="utf-8")
    truth.write(out / "truth.json")
    tell("done", 1.0)
    return truth


def _clear(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        registry = out / "companies.toml"
        if not registry.is_file() or not registry.read_text(encoding="utf-8").startswith(REGISTRY_HEAD):
            raise UsageError("The folder is not empty and holds no earlier simulation.", "Name an empty folder.")
        _empty(out)
    out.mkdir(parents=True, exist_ok=True)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _valid_counts(simulated: SimulatedQuarter, company: int) -> CompanyCounts:
    records, owner = simulated.columns.records, simulated.columns.users.company
    valid = simulated.columns.valid
    users = records.user[valid]
    mine = owner[users] == company
    return CompanyCounts(valid=int(mine.sum()), users=len(set(users[mine].tolist())))


def _write_submission(
    out: Path, maker: RowMaker, plan: SubmissionPlan, quarter: Quarter, truth: Truth, counts: CompanyCounts
) -> None:
    """Writes one submission and its truth."""
    folder = out / plan.company / plan.submission_id
    folder.mkdir(parents=True)
    told = SubmissionTruth(plan.company, plan.submission_id, str(quarter), plan.period)
    files = []
    for number, (rows, file_format) in enumerate(zip(maker.rows(plan), plan.formats, strict=True), start=1):
        path = f"part-{number}.{file_format}"
        content = pack([row.content for row in rows], file_format)
        (folder / path).write_bytes(content)
        files.append(data_file(path, file_format, content, len(rows)))
        for at, row in enumerate(rows, start=1):
            _tell(truth, told, counts, (plan.company, plan.submission_id, path, at), row)
    truth.submissions.append(told)
    key, key_id = demonstration_key(truth.parameters.seed, plan.company), f"{plan.company}-1"
    pseudonym_key = f"{plan.company}-{str(quarter).lower()}"
    manifest = signed_manifest(plan.company, plan.submission_id, plan.period, key_id, pseudonym_key, files, key)
    (folder / MANIFEST_NAME).write_bytes(manifest)


def _tell(truth: Truth, told: SubmissionTruth, counts: CompanyCounts, place: tuple[str, str, str, int], row: Row) -> None:
    told.records += 1
    counts.records += 1
    if row.malformed is not None:
        told.quarantined[row.malformed.code] += 1
        counts.quarantined[row.malformed.code] += 1
        truth.malformed.append((*place, row.malformed.kind, row.malformed.code, row.needs_memory))
        return
    if isinstance(row.content, bytes):
        raise InternalError("Only a malformed row is bytes.")
    record_id = str(row.content["record_id"])
    if row.what == "duplicate":
        told.duplicates += 1
        counts.duplicates += 1
        truth.duplicates.append((*place, record_id, row.needs_memory))
    counts.corrections += row.what == "correction"
    scope = row.content.get("scope")
    counts.record_withdrawals += scope == "record"
    counts.user_withdrawals += scope == "user"
    counts.submission_withdrawals += scope == "submission"
    if row.conversation is not None:
        counts.conversations_with_text += 1
        text = row.conversation
        for spans, found in ((truth.pii, text.planted), (truth.must_survive, text.must_survive), (truth.terms, text.terms)):
            spans.extend((*place, record_id, s.turn, s.start, s.end, s.kind) for s in found)


def _write_companies(out: Path, p: SimulationParameters) -> None:
    keys = out / "keys"
    keys.mkdir()
    first, last = p.quarter_list[0], p.quarter_list[-1]
    until = (last.end + timedelta(days=640)).date()
    entries = [REGISTRY_HEAD]
    for company in p.company_ids:
        private = demonstration_key(p.seed, company)
        path = keys / f"{company}.key"
        path.touch(mode=0o600)
        path.write_text(encode_key(private) + "\n", encoding="ascii")
        kinds = ", ".join(f'"{kind}"' for kind in p.not_collected.get(company, ()))
        entries.append(
            f'[[company]]\nid = "{company}"\nagreement_id = "agr-{company}-1"\nsynthetic = true\nnot_collected = [{kinds}]\n'
            f'[[company.key]]\nkey_id = "{company}-1"\npublic_key = "{encode_key(public_key(private))}"\n'
            f"valid_from = {first.start.date()}\nvalid_until = {until}\n"
        )
    (out / "companies.toml").write_text("\n".join(entries), encoding="utf-8")
