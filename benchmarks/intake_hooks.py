"""Two figures of `make bench-intake` whose suites are tests of their own: killed processes, and canaries that leak."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "attacks"))

ROUNDS, SEED = 500, 1


def kill_rounds() -> dict[str, float]:
    """kill -9 at random points, three processes: rounds done, and promises found broken. See tests/attacks/killing.py."""
    import killing

    rounds, violations = killing.kill_rounds(ROUNDS, SEED)
    return {"kill_rounds": rounds, "kill_violations": violations}


def canary_leaks() -> dict[str, float]:
    """Canaries found in logs, databases, temporary files, receipts and reports. See tests/attacks/leaking.py."""
    import leaking

    return {"canary_leaks": leaking.canary_leaks()}
