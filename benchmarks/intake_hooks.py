"""Two figures of `make bench-intake` that come from suites of their own: plugged in here, each by one function."""


def kill_rounds() -> dict[str, float]:
    """`kill_rounds` and `kill_violations`: kill -9 at random points, three processes. See tests/attacks/killing.py."""
    return {}


def canary_leaks() -> dict[str, float]:
    """`canary_leaks`: canaries found in logs, databases, temporary files, receipts and reports."""
    return {}
