"""Values planted in submissions, and a search for them wherever they must not be: run through the real command line.

Every planted value begins with the same letters, so that one search, in every form in which bytes are commonly written
(plain, base64, hexadecimal, UTF-16, URL, JSON escapes), finds them all.
"""

import base64
import gzip
import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
for _folder in (ROOT, HERE.parent, HERE.parents[1] / "intake"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

MARK = "kzqvwxcanary"
KINDS = (
    "text", "pseudonym", "record", "badcode", "unknownkey", "experiment", "brokenline", "badtime", "badnumber", "submission",
    "filename", "rule", "tool", "unlisted", "column", "metakey", "metavalue", "gzipname", "manifestkey",
)  # fmt: skip
# A company is told its own names: its submission's on the receipt, its files' in findings. Nobody else is.
TOLD_ITS_COMPANY = {"submission", "filename"}


def canary(kind: str, number: int) -> str:
    return f"{MARK}{kind}{number:02d}"


def forms(mark: str) -> dict[str, bytes]:
    """How a value might be written, by the name of the form; each is found wherever it stands in something longer."""
    plain = mark.encode()
    made = {"plain": plain, "hexadecimal": plain.hex().encode(), "HEXADECIMAL": plain.hex().upper().encode()}
    made |= {"UTF-16": mark.encode("utf-16-le"), "URL": "".join(f"%{c:02x}" for c in plain).encode()}
    made |= {"URL, upper": "".join(f"%{c:02X}" for c in plain).encode(), "JSON": "".join(f"\\u{c:04x}" for c in plain).encode()}
    made |= {"upper case": plain.upper(), "title case": plain.title(), "back to front": plain[::-1]}
    for shift in range(3):  # base64 takes three bytes at a time: what is around it moves the first and the last ones
        whole = base64.b64encode(bytes(shift) + plain)
        made[f"base64, {shift}"] = whole[(shift * 8 + 5) // 6 : (shift + len(plain)) * 8 // 6 - 1]
    return made


_FORMS = forms(MARK)
_SEARCH = re.compile(b"|".join(re.escape(form) for form in _FORMS.values()))
_KIND = re.compile(f"{MARK}({'|'.join(KINDS)})(\\d\\d)".encode())


@dataclass(frozen=True, order=True)
class Leak:
    """Where a planted value was found, which (its kind is unknown where it is not written plainly)."""

    place: str
    kind: str
    number: str = ""


@dataclass
class Search:
    """Looks through bytes; `told` are kinds that a place may hold."""

    leaks: set[Leak] = field(default_factory=set)

    def look(self, data: bytes, place: str, told: Iterable[str] = ()) -> None:
        for found in _SEARCH.finditer(data):
            known = _KIND.match(data, found.start())
            kind = known[1].decode() if known else "in another form"
            if kind not in told:
                self.leaks.add(Leak(place, kind, known[2].decode() if known else ""))

    def look_into(self, folder: Path, place: str, told: Iterable[str] = ()) -> None:
        for path in sorted(folder.rglob("*")):
            self.look(os.fsencode(path.relative_to(folder)), f"names of {place}", told)
            if path.is_file() and not path.is_symlink():
                self.look(path.read_bytes(), place, told)


# What is sent -----------------------------------------------------------------------------------------------------------


class Company:
    """One company and its submissions, each with planted values of some kinds."""

    def __init__(self, base: Path, each: int) -> None:
        from sample_data.parameters import SimulationParameters
        from sample_data.simulate import simulate

        self.each, self.sent, self.made = each, base / "sent", base / "made"
        parameters = SimulationParameters(
            seed=31, users=120, quarters=1, formats=("jsonl",), files_per_submission=1, malformed_share=0, duplicate_share=0,
            correction_share=0, record_withdrawal_share=0, user_withdrawal_share=0, text_share=0.3,
        )  # fmt: skip
        simulate(self.made, parameters)
        source = sorted(path.parent for path in (self.made / "alder").glob("*/manifest.json"))[0]
        self.manifest = json.loads((source / "manifest.json").read_text())
        self.records = [json.loads(line) for line in (source / "part-1.jsonl").read_text().splitlines()]

    def write(self, number: int, data: bytes, count: int, *, name: str = "", file_format: str = "jsonl", **extra: Any) -> Path:
        """A signed submission of one file."""
        import hashlib

        from schemas.manifest import signed_bytes
        from schemas.signing import decode_key, sign

        folder = self.sent / f"s{number:02d}"
        folder.mkdir(parents=True)
        name = name or f"{canary('filename', number % self.each)}.{file_format}"
        (folder / name).write_bytes(data)
        file = {
            "path": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "records": count,
            "format": file_format,
        }
        manifest = {**self.manifest, "files": [file], "submission_id": canary("submission", number % self.each), **extra}
        manifest["submission_id"] += f"-{number}"
        manifest["attestations"] = {**manifest["attestations"], "redaction_tool": canary("tool", number % self.each)}
        manifest["selection"] = [{**s, "rule": canary("rule", n % self.each)} for n, s in enumerate(manifest["selection"])]
        manifest["signature"] = sign(decode_key((self.made / "keys" / "alder.key").read_text()), signed_bytes(manifest))
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    def sound(self, start: int = 0) -> list[dict[str, Any]]:
        """Sound records with a planted text, pseudonym, id and experiment each."""
        made = []
        for n in range(self.each):
            record = {**self.records[n % len(self.records)]}
            text = f"my name is {canary('text', n)} and write to {canary('text', n)}@example.org"
            record |= {"record_id": f"{canary('record', n)}s{start}", "user_pseudonym": canary("pseudonym", n)}
            record |= {"n_turns": max(2, record["n_turns"]), "turns": [{"index": 1, "role": "user", "text": text}]}
            record["person"] = {**record["person"], "age_band": "25_44"}
            experiment = {"id": canary("experiment", n), "arm": "a", "assigned": "randomised_user"}
            record["deployment"] = {**record["deployment"], "experiment": experiment}
            made.append(record)
        return made

    def faulty(self) -> list[Any]:
        """Records that break the contract, each with a planted value where it breaks it."""
        made: list[Any] = []
        for n, record in enumerate(self.sound(1)):
            made += [
                {**record, "event_class": canary("badcode", n)},
                {**record, canary("unknownkey", n): canary("unknownkey", n)},
                {**record, "started_at": canary("badtime", n)},
                {**record, "n_turns": canary("badnumber", n)},
                '{"domain": "' + canary("brokenline", n) + '", "text": ',
                {**record, "person": {**record["person"], "age_band": "under_13"}},
            ]
        return made

    def all(self) -> list[Path]:
        """Every submission, the sound ones first."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from schemas.arrow import record_schema

        good = lines(self.sound())
        few = [*self.records[10:70], *self.faulty()[:1]]
        buffer = self.sent.parent / "named.gz"
        with buffer.open("wb") as raw, gzip.GzipFile(canary("gzipname", 0), "wb", fileobj=raw) as stream:
            stream.write(lines(self.sound(2)))
        sent = [
            self.write(1, good, self.each),
            self.write(2, lines(few), len(few)),
            self.write(3, lines(self.faulty()), len(self.faulty())),
            self.write(4, buffer.read_bytes(), self.each, file_format="jsonl.gz"),
            self.write(5, buffer.read_bytes()[:-40], self.each, file_format="jsonl.gz"),
            self.write(6, good, self.each, **{canary("manifestkey", n): canary("manifestkey", n) for n in range(self.each)}),
        ]
        names = {canary("column", n): pa.array([canary("column", n)]) for n in range(self.each)}
        metadata = {canary("metakey", n): canary("metavalue", n) for n in range(self.each)}
        with_columns = pa.table(names).replace_schema_metadata(metadata)
        rows = [{**r, "started_at": datetime.fromisoformat(r["started_at"])} for r in self.sound(3)]
        with_metadata = pa.Table.from_pylist(rows, record_schema()).replace_schema_metadata(metadata)
        for number, table in ((7, with_columns), (8, with_metadata)):
            path = self.sent.parent / f"{number}.parquet"
            pq.write_table(table, path)
            sent.append(self.write(number, path.read_bytes(), table.num_rows, file_format="parquet"))
        sent.append(self.write(9, good, self.each))
        for n in range(self.each):
            (sent[-1] / canary("unlisted", n)).write_text(canary("unlisted", n))
        return sent


def lines(records: Iterable[Any]) -> bytes:
    return "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records).encode()


# How it is run ----------------------------------------------------------------------------------------------------------

FAILING = """
import sys
sys.path[:0] = {path!r}
import leaking
leaking.break_it({how!r})
from cli.main import main
main()
"""


def break_it(how: str) -> None:
    """In a process of its own: lets the reader's process die, or the scrub fail, with a planted value in its hands."""
    if how == "worker":
        from intake.sandbox import reader

        program = (
            # confined as the worker is, it falls with the file in its hands
            "import os; from intake.sandbox.confinement import Allowance, confine; confine(Allowance(1 << 28, 30))\n"
            "data = os.read(0, 1 << 24); os.write(2, data[:4000]); os.write(1, b'{}\\n' + data); os.abort()"
        )
        known = {name: getattr(subprocess, name) for name in ("PIPE", "DEVNULL", "TimeoutExpired")}
        command = [sys.executable, "-I", "-c", program]
        other = SimpleNamespace(**known, Popen=lambda _, **named: subprocess.Popen(command, **named))
        reader.subprocess = other  # type: ignore[assignment]  # of this module only: Prefect starts processes too
    if how == "step":
        from intake import acceptance

        def fail(*arguments: Any, **named: Any) -> None:
            raise ValueError(canary("text", 0), arguments)

        acceptance.check_records = fail
    if how == "scrub":
        from flows import scrubbing

        scrubbing._scrub_part = failing_scrub
    if how == "told":  # a leak, planted: the guard quotes what it caught
        from flows import guard
        from schemas.errors import InternalError

        break_it("step")
        guard._internal = lambda error: InternalError(str(error))


def failing_scrub(*arguments: Any) -> None:
    """In place of a part's scrub."""
    raise ValueError(canary("text", 0))


class Runs:
    """Runs of `commons` in one folder: their output is looked through, and all that they leave behind."""

    def __init__(self, base: Path, search: Search) -> None:
        self.base, self.search, self.root = base, search, base / "pool"
        self.home, self.temporary, self.cwd = base / "home", base / "temporary", base / "cwd"
        for folder in (self.home, self.temporary, self.cwd):
            folder.mkdir(parents=True)

    def commons(self, *arguments: str | Path, how: str = "", told: Iterable[str] = ()) -> int:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "COMMONS"))}
        environment = kept | {"TMPDIR": str(self.temporary), "HOME": str(self.home), "PYTHONPATH": str(HERE.parent)}
        command: list[str] = [str(Path(sys.executable).parent / "commons")]
        if how:
            path = [str(HERE.parent), str(ROOT)]
            command = [sys.executable, "-c", FAILING.format(path=path, how=how)]
        done = subprocess.run(
            [*command, *map(str, arguments)], capture_output=True, env=environment, cwd=self.cwd, preexec_fn=_cores_permitted
        )
        self.search.look(done.stdout, f"standard output of {arguments[0]}", told)
        self.search.look(done.stderr, f"standard error of {arguments[0]}", told)
        return done.returncode

    def put(self, folder: Path, pool: Any) -> None:
        """Puts a submission into the drop as it is, as a company could that does not use `commons submit`."""
        import hashlib

        from flows.drops import public_keys
        from intake.limits import DEFAULT_LIMITS
        from intake.manifest_checks import parse_manifest
        from intake.sealing import MANIFEST_PART, part_name, seal
        from schemas.canonical import canonical_json

        recipient = public_keys(pool)["pool_recipient"]
        data = (folder / "manifest.json").read_bytes()
        read, _ = parse_manifest(data, DEFAULT_LIMITS)
        digest = read.digest if read else hashlib.sha256(canonical_json(json.loads(data))).hexdigest()
        place = Path(pool.drop_url("alder"), "in", digest)
        place.mkdir(parents=True)
        for number, file in enumerate(json.loads(data)["files"]):
            (place / part_name(number, 0)).write_bytes(seal((folder / file["path"]).read_bytes(), recipient))
        for extra in folder.glob(f"{canary('unlisted', 0)[:-2]}*"):
            shutil.copyfile(extra, place / extra.name)
        (place / MANIFEST_PART).write_bytes(seal(data, recipient))

    def look_around(self) -> None:
        """Everything that lies about but what the company sent: the pool's folders, temporary files, homes, core dumps."""
        told = {"answers": TOLD_ITS_COMPANY, "state": {"submission"}}
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir()):
            if folder.name == "drops":
                for out in sorted(folder.glob("*/out")):
                    self.search.look_into(out, "drops, out", TOLD_ITS_COMPANY)
            else:
                self.search.look_into(folder, folder.name, told.get(folder.name, ()))
        for folder in (self.home, self.temporary, self.cwd):
            self.search.look_into(folder, folder.name)
        for core in [*self.cwd.rglob("core*"), *Path("/").glob("core*")]:
            self.search.leaks.add(Leak("core dumps", core.name))
        self._look_into_databases()
        self._look_into_parquet()

    def _look_into_databases(self) -> None:
        """Cell by cell, since a page may break a value in two."""
        for path in sorted(self.root.rglob("*.db")):
            with closing(sqlite3.connect(path)) as connection:
                for (table,) in connection.execute("select name from sqlite_master where type = 'table'").fetchall():
                    for row in connection.execute(f'select * from "{table}"'):
                        told = {"submission"} if table == "submissions" else ()
                        self.search.look(repr(row).encode("utf-8", "replace"), f"table {table} of {path.name}", told)

    def _look_into_parquet(self) -> None:
        """What a file says besides its rows, once it is opened with its key."""
        import pyarrow.parquet as pq

        from flows.pool import Pool
        from schemas.at_rest import Room, decryption
        from schemas.periods import Quarter

        for room in Room:
            for path in sorted((self.root / room).rglob("*.parquet")):
                quarter, company = path.relative_to(self.root / room).parts[:2]
                key = Pool(self.root).keys_at_rest.existing(room, Quarter.parse(quarter), company)
                with pq.ParquetFile(path, decryption_properties=decryption(key)) as file:
                    told = repr((file.metadata.metadata, file.schema_arrow, file.metadata.created_by))
                    groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
                    columns = [group.column(n) for group in groups for n in range(group.num_columns)]
                    kept = [(c.statistics.min, c.statistics.max) for c in columns if c.statistics and c.statistics.has_min_max]
                self.search.look(told.encode(), f"footer of {room}")
                if room is Room.SCRUBBED:  # of what is accepted they are as private as its rows, and as encrypted
                    self.search.look(repr(kept).encode(), f"statistics of {room}", {"record", "experiment"})


def _cores_permitted() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def find_leaks(base: Path, each: int, *, failing: bool, plant: str = "") -> tuple[set[Leak], dict[str, int]]:
    """Plants `each` values of every kind, sends them through `commons submit` and `commons ingest`, and looks for them.

    Returns the leaks, and the exit code of each run. `failing` adds runs that fail. `plant` leaks on purpose.
    """
    from flows.drops import make_local_drops, public_keys
    from flows.pool import Pool

    search = Search()
    runs, company = Runs(base, search), Company(base, each)
    (runs.root / "config").mkdir(parents=True)
    shutil.copyfile(company.made / "companies.toml", runs.root / "config" / "companies.toml")
    pool, codes = Pool(runs.root), dict[str, int]()
    make_local_drops(pool)
    recipient, sent = public_keys(pool)["pool_recipient"], company.all()
    to_company = ("--to", pool.drop_url("alder"), "--recipient", recipient)
    if plant:
        runs.put(sent[0], pool)
        codes["planted"] = runs.commons("ingest", "--root", runs.root, how=plant)
        runs.look_around()
        return search.leaks, codes
    for folder in sent if failing else sent[2:4]:
        codes[f"submit {folder.name}"] = runs.commons("submit", folder, *to_company, told=TOLD_ITS_COMPANY)
    for folder in sent:
        if codes.get(f"submit {folder.name}") not in (0, 11):
            runs.put(folder, pool)
    if failing:
        for how in ("step", "worker"):
            codes[f"ingest, {how} fails"] = runs.commons("ingest", "--root", runs.root, how=how)
            runs.look_around()
        for folder in sent:  # what the dying process had refused comes again
            if not list(Path(pool.drop_url("alder"), "in").glob("*")):
                runs.put(folder, pool)
        codes["ingest, disk is full"] = _on_a_full_disk(runs)
        codes["ingest, scrub fails"] = runs.commons("ingest", "--root", runs.root, how="scrub")
        runs.look_around()
    codes["ingest"] = runs.commons("ingest", "--root", runs.root)
    codes["status"] = runs.commons("status", "--root", runs.root)
    codes["status of the company"] = runs.commons("status", "--to", pool.drop_url("alder"), told=TOLD_ITS_COMPANY)
    runs.look_around()
    return search.leaks, codes


def _on_a_full_disk(runs: Runs) -> int:
    """A run whose staging folder has no space; -1 where none can be mounted."""
    staging = runs.root / "staging"
    staging.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", staging], capture_output=True).returncode:
        return -1
    try:
        return runs.commons("ingest", "--root", runs.root)
    finally:
        subprocess.run(["umount", "-l", staging], check=True)


def canary_leaks() -> int:
    """How many of twenty planted values of each kind are found where they must not be, failing runs included."""
    with tempfile.TemporaryDirectory(prefix="commons-leaks-") as base:
        leaks, _ = find_leaks(Path(base), 20, failing=True)
    return len(leaks)
