"""`make bench-at_rest`: what encryption at rest costs the measurement, and whether its memory is flat in the number of files."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from aggregate.reading import users_of_buckets
from benchmarks.report import report
from sample_data.columnar import pool_table
from sample_data.generate import generate
from sample_data.parameters import SimulationParameters
from schemas.arrow import pool_schema
from schemas.at_rest import decryption, encryption
from schemas.stages import EncryptedFiles

KEY, ROWS_A_PART, PARTS = b"k" * 32, 4_096, (100, 400)
COLUMNS = (
    "company unit pseudonym_unit content record_id record_status supersedes scope domain origin started_at selection_reason "
    "deployment person risk n_turns interventions"
).split()
HERE = Path(__file__).resolve().parent.parent


def write(folder: Path) -> None:
    """The same records over and over as plain and as encrypted parts."""
    simulated = generate(SimulationParameters(seed=3, users=9_000, quarters=1, text_share=0.0)).quarters[0]
    table = pool_table(simulated).slice(0, ROWS_A_PART).cast(pool_schema())
    assert len(table) == ROWS_A_PART
    for kind, properties in (("plain", None), ("encrypted", encryption(KEY))):
        (folder / kind).mkdir()
        for part in range(max(PARTS)):
            path = folder / kind / f"part-{part:05d}.parquet"
            pq.write_table(table, path, compression="zstd", encryption_properties=properties)


def plain(connection: duckdb.DuckDBPyConnection, files: list[Path], low: int, high: int) -> str:
    listed = ", ".join(f"'{path}'" for path in files)
    return f"select {', '.join(COLUMNS)} from read_parquet([{listed}]) where bucket >= {low} and bucket < {high}"


def one_dataset(connection: duckdb.DuckDBPyConnection, files: list[Path], low: int, high: int) -> str:
    options = ds.ParquetFragmentScanOptions(decryption_properties=decryption(KEY))
    whole = ds.dataset(
        [str(path) for path in files], schema=pool_schema(), format=ds.ParquetFileFormat(default_fragment_scan_options=options)
    )
    connection.register("arriving", whole)
    return f"select {', '.join(COLUMNS)} from arriving where bucket >= {low} and bucket < {high}"


def ours(connection: duckdb.DuckDBPyConnection, files: list[Path], low: int, high: int) -> str:
    connection.register("arriving", users_of_buckets([EncryptedFiles(tuple(files), KEY)], COLUMNS, low, high))
    return "select * from arriving"


WAYS: dict[str, Callable[[duckdb.DuckDBPyConnection, list[Path], int, int], str]] = {
    "plain": plain,
    "one_dataset": one_dataset,
    "ours": ours,
}


def scan(folder: Path, way: str, parts: int, buckets: int) -> dict[str, float]:
    """Reads some buckets of some parts once, in this process."""
    files = sorted((folder / ("plain" if way == "plain" else "encrypted")).iterdir())[:parts]
    connection = duckdb.connect(config={"threads": 2, "preserve_insertion_order": False})
    pa.set_cpu_count(2)
    wall, processor = time.perf_counter(), time.process_time()
    connection.execute(f"create temp table sent as {WAYS[way](connection, files, 0, buckets)}")  # as the measurement does
    counted = connection.execute("select count(*) from sent").fetchone()
    assert counted is not None
    return {
        "rows": counted[0],
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - processor,
        "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def apart(folder: Path, way: str, parts: int, buckets: int) -> dict[str, float]:
    """The least of two, each in a process of its own: others may use the machine."""
    command = [sys.executable, "-m", "benchmarks.at_rest", str(folder), way, str(parts), str(buckets)]
    found = [json.loads(subprocess.run(command, capture_output=True, check=True, cwd=HERE, text=True).stdout) for _ in range(2)]
    return {name: min(each[name] for each in found) for name in found[0]}


def duckdb_alone(folder: Path) -> float:
    """Whether DuckDB's own reader takes a part that PyArrow encrypted: 1 or 0."""
    connection = duckdb.connect()
    try:
        connection.execute(f"pragma add_parquet_key('key', '{KEY.decode()}')")
        part = folder / "encrypted" / "part-00000.parquet"
        connection.execute(f"select count(turns) from read_parquet('{part}', encryption_config = {{footer_key: 'key'}})")
    except duckdb.Error:
        return 0.0
    return 1.0


def main() -> None:
    """Plain files by DuckDB's own reader; one dataset of encrypted files; ours."""
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps(scan(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
        return
    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        metrics["duckdb_reads_them_alone"] = duckdb_alone(folder)
        for kind in ("plain", "encrypted"):
            metrics[f"mb_a_part_{kind}"] = sum(p.stat().st_size for p in (folder / kind).iterdir()) / max(PARTS) / 1e6
        for way in WAYS:
            found = {(parts, buckets): apart(folder, way, parts, buckets) for parts in PARTS for buckets in (4, 64)}
            few, many = (found[parts, 4] for parts in PARTS)
            metrics[f"rows_of_4_buckets_{way}"] = many["rows"]
            metrics[f"cpu_seconds_all_{way}"] = found[PARTS[1], 64]["cpu"]
            metrics[f"cpu_seconds_4_of_64_buckets_{way}"] = many["cpu"]
            metrics[f"mb_{PARTS[1]}_parts_{way}"] = many["mb"]
            metrics[f"mb_more_for_300_parts_{way}"] = many["mb"] - few["mb"]
    report("at_rest", metrics)


if __name__ == "__main__":
    main()
