"""`make bench-intake`: what the door refuses, what it keeps, what it costs, how fast it is. Each figure is a test's, too."""

import sys
import tempfile
from pathlib import Path

from benchmarks.intake_attacks import Mutator, cut_off, flip_data, flip_manifest, fuzz
from benchmarks.intake_bombs import BOMBS
from benchmarks.intake_bombs import measure as measure_bomb
from benchmarks.intake_corpus import JSON_SUITE, hostile_parquet, json_suite, read_hostile
from benchmarks.intake_hooks import canary_leaks, kill_rounds
from benchmarks.intake_malformed import coded_over
from benchmarks.intake_material import FORMATS, Material
from benchmarks.intake_speed import measure as measure_speed
from benchmarks.intake_speed import memory_growth
from benchmarks.report import report

SEEDS = range(1, 21)
FUZZ_INPUTS = 20_000
STEP = 31  # of cuts and flips here; the long suites try every byte


def main() -> None:
    """All figures of the door, below a temporary folder."""
    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        material = Material(folder / "material")
        _say("speed")
        metrics |= measure_speed(material, folder) | memory_growth(material, folder)
        _say("malformed records")
        metrics |= _malformed()
        _say("collected files")
        metrics |= _collected(material)
        _say("bombs")
        metrics |= _bombs(material, folder)
        _say("cuts, flips and mutations")
        metrics |= _altered(material, folder)
    _say("killed processes and canaries")
    metrics |= kill_rounds() | canary_leaks()
    report("intake", metrics)


def _say(step: str) -> None:
    sys.stderr.write(f"{step} ...\n")


def _malformed() -> dict[str, float]:
    found = coded_over(SEEDS)
    return {
        "malformed_coded_share": found.coded / found.planted,
        "good_rows_kept_share": found.kept / found.good,
        "malformed_planted": found.planted,
        "malformed_kinds": len(found.kinds),
        "good_rows": found.good,
    }


def _collected(material: Material) -> dict[str, float]:
    if not JSON_SUITE.exists():
        sys.stderr.write("skipped: ../shared/data/hostile is not here\n")
        return {}
    json, files = json_suite(), hostile_parquet()
    plain, confined = (read_hostile(files, reader, material.context) for reader in ("in process", "confined"))
    return {
        "json_n_rejected": json.refused,
        "json_n": json.must_refuse,
        "json_y_parsed": json.parsed,
        "json_y": json.must_parse,
        "hostile_files": plain.files,
        "hostile_signals": plain.signals + confined.signals,
        "hostile_late": plain.late + confined.late,
        "hostile_accepted": plain.accepted + confined.accepted,
    }


def _bombs(material: Material, folder: Path) -> dict[str, float]:
    found = {name: measure_bomb(material, name, folder / name) for name in BOMBS}
    return {
        "bombs": len(found),
        "bombs_held": sum(bomb.held for bomb in found.values()),
        "bomb_seconds_max": max(bomb.seconds for bomb in found.values()),
        "bomb_peak_mb": max(bomb.memory_mb for bomb in found.values()),
        "bomb_disk_mb": max(bomb.disk_mb for bomb in found.values()),
    }


def _altered(material: Material, folder: Path) -> dict[str, float]:
    cuts = [cut_off(material, kind, folder / f"cut-{kind}", STEP) for kind in FORMATS]
    flips = [flip_data(material, folder / f"flip-{kind}", kind, STEP) for kind in FORMATS]
    flips.append(flip_manifest(material, folder / "flip-manifest", STEP))
    fuzzed = fuzz(Mutator(material.records, 5).inputs(FUZZ_INPUTS), material.context)
    return {
        "cuts": sum(found.tried for found in cuts),
        "cuts_let_in": sum(len(found.let_in) for found in cuts),
        "flips": sum(found.tried for found in flips),
        "flips_let_in": sum(len(found.let_in) for found in flips),
        "fuzz_inputs": fuzzed.inputs,
        "fuzz_uncaught": fuzzed.uncaught,
        "fuzz_values_told": fuzzed.told,
    }


if __name__ == "__main__":
    main()
