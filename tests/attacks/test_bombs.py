"""Small files that want to become large are refused in 10 seconds, 512 MB of memory and 100 MB of disk, door and reader together."""

from pathlib import Path

import pytest

from benchmarks.intake_bombs import BOMBS, Measured, measure
from benchmarks.intake_material import Material

FAST = ("parquet_10_gb_by_contract", "many_small_items")


@pytest.mark.parametrize("name", FAST)
def test_some(name: str, material: Material, tmp_path: Path) -> None:
    measured = measure(material, name, tmp_path)
    assert measured.held, measured


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", [name for name in BOMBS if name not in FAST])
def test_all_others(name: str, material: Material, tmp_path: Path) -> None:
    measured = measure(material, name, tmp_path)
    assert measured.held, measured


@pytest.mark.parametrize(
    "excess", [{"processor_seconds": 10.1}, {"memory_mb": 513.0}, {"disk_mb": 101.0}, {"decision": "accepted"}]
)
def test_what_is_over_a_bound_is_noticed(excess: dict[str, float | str]) -> None:
    within = {
        "decision": "refused",
        "codes": {},
        "seconds": 1.0,
        "processor_seconds": 1.0,
        "memory_mb": 1.0,
        "disk_mb": 1.0,
        "bytes_sent": 1,
    }
    assert Measured(**within).held  # type: ignore[arg-type]
    assert not Measured(**{**within, **excess}).held  # type: ignore[arg-type]
