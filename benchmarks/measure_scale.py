"""The measurement end to end at 10^6, 10^7 and 10^8 events: read, decrypt, settle duplicates, bound, count, draw."""

import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.measure_data import events, write_scrubbed
from benchmarks.measure_ours import ESTIMATES_ONLY, KEY, Measured, Request, measured, whole_rho

MEMORY_LIMIT = "2GB"  # of DuckDB; the program around it comes on top


def measure_scale(exponent: int, folder: Path) -> dict[str, float]:
    """Seconds, processor seconds and peak memory of 10^exponent events: so many blocks of about 10^6."""
    parts = folder / f"rows-1e{exponent}"
    records = write_blocks(10 ** (exponent - 6), parts)
    try:
        run = measured_parts(parts, folder, f"scale-1e{exponent}")
    finally:
        shutil.rmtree(parts)
    return {
        f"rows_1e{exponent}_records": records,
        **{f"rows_1e{exponent}_{stage}_seconds": seconds for stage, seconds in run.stages.items()},
        f"rows_1e{exponent}_seconds": run.cost.seconds,
        f"rows_1e{exponent}_processor_seconds": run.cost.processor_seconds,
        f"rows_1e{exponent}_peak_mb": run.cost.peak_mb,
    }


def write_blocks(blocks: int, parts: Path) -> int:
    """Writes so many blocks as scrubbed parts, two at a time; the number of their records, repeated ones too."""
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir(parents=True)
    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(partial(_write_block, parts), range(blocks)))


def _write_block(parts: Path, block: int) -> int:
    import pyarrow.parquet as pq

    from schemas.at_rest import decryption

    paths = write_scrubbed(events(block), parts, KEY)
    return sum(pq.ParquetFile(path, decryption_properties=decryption(KEY)).metadata.num_rows for path in paths)


def measured_parts(parts: Path, folder: Path, name: str) -> Measured:
    """One draw over all parts of a folder."""
    request = Request(
        parts=str(parts),
        scratch=str(folder / "scratch"),
        answer=str(folder / f"{name}.json"),
        rho=str(whole_rho()),
        shares=ESTIMATES_ONLY,
        draws=1,
        memory_limit=MEMORY_LIMIT,
    )
    return measured(request, folder, name)
