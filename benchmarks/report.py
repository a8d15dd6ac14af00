"""How every benchmark reports: a table on standard output, and one flat JSON object of metric name to number."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "build" / "bench"


def report(name: str, metrics: Mapping[str, float]) -> None:
    """Prints the metrics and writes `build/bench/<name>.json`."""
    width = max(map(len, metrics))
    for metric, value in metrics.items():
        sys.stdout.write(f"{metric:{width}}  {value:.6g}\n")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(dict(metrics), indent=1) + "\n", encoding="utf-8")
