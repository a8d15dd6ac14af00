"""`make bench-demo`: the demonstration as a user runs it, on the templates and, where it is there, on real conversations."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.report import report
from benchmarks.survivors import survival

CONVERSATIONS = Path(__file__).resolve().parents[2] / "shared" / "data" / "conversations" / "vera_mh.jsonl"


def run(root: Path, *arguments: str) -> dict[str, Any]:
    """One `commons demo`, as a process of its own."""
    command = [str(Path(sys.executable).parent / "commons"), "demo", "--root", str(root), "--json", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def counted(root: Path) -> tuple[Counter[str], Counter[str]]:
    """Quarantined records by code: planted by the simulation, and found by intake (from the findings that companies get)."""
    truth = json.loads((root / "made" / "truth.json").read_text(encoding="utf-8"))
    planted = Counter(row[5] for row in truth["malformed"]["rows"])
    found = Counter[str]()
    for findings in (root / "answers").rglob("findings.jsonl"):
        rows = {(f["code"], f["file"], f["row"]) for f in map(json.loads, findings.read_text(encoding="utf-8").splitlines())}
        found.update(code for code, _, _ in rows if code.startswith("E2"))
    return planted, found


def measure(root: Path, *arguments: str) -> dict[str, float]:
    """Runs the demonstration twice and returns its figures."""
    first, again = run(root, *arguments), run(root, *arguments)
    planted, found = counted(root)
    seen = survival(root, root / "made")
    metrics: dict[str, float] = {
        "seconds": first["seconds"],
        "seconds_again": again["seconds"],
        "peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "records": first["records"],
        "quarantined": first["quarantined"],
        "quarantined_as_planted": float(planted == found),
        "cells": sum(release["cells"] for release in first["releases"]),
        "cells_with_estimate": sum(release["published"] for release in first["releases"]),
        "epsilon_release": first["releases"][0]["epsilon"],
        "epsilon_year": first["years"][0]["epsilon"],
        "second_run_spent": float(again["years"] != first["years"]),
        "turns_with_text": seen.turns,
        "turns_withheld": seen.withheld_turns,
        "helplines_planted": seen.helplines,
        "helplines_kept": seen.helplines_kept,
        "helplines_withheld_with_their_turn": seen.helplines_withheld,
        "conversations_with_pii": seen.conversations,
        "conversations_leaking": seen.leaking_conversations,
        "pii_planted": seen.planted.total(),
        "pii_survived": seen.survived.total(),
    }
    for kind in sorted(seen.planted):
        metrics[f"pii_survived_share_{kind}"] = seen.survived[kind] / seen.planted[kind]
    return metrics


def validate_seconds() -> float:
    """Least of five runs of `commons validate` on the largest submission of the committed sample."""
    sample = max(Path("sample_data/sample").glob("*/*/manifest.json"), key=lambda path: path.stat().st_size).parent
    command = [str(Path(sys.executable).parent / "commons"), "validate", str(sample), "--json"]
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Both runs, each below a temporary folder."""
    metrics: dict[str, float] = {"validate_seconds": validate_seconds()}
    with tempfile.TemporaryDirectory() as folder:
        metrics |= measure(Path(folder) / "templates")
        if CONVERSATIONS.exists():
            real = measure(Path(folder) / "real", "--conversations", str(CONVERSATIONS))
            metrics |= {f"real_{name}": value for name, value in real.items()}
        else:
            sys.stderr.write("skipped: ../shared/data/conversations is not here\n")
    report("demo", metrics)


if __name__ == "__main__":
    main()
