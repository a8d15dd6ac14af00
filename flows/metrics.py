"""Metrics of a pool for a monitor, in Prometheus' text format, from what the pool keeps anyway: log, catalogue, ledger, disk.

Labels are stages, outcomes, codes, quarters and years of the lists below, never a company: what a monitor holds is read by more
people than the operator's screen, and for longer. The counts are exact and vary with single users: for the operator alone.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flows.backlog import last_ends, late_runs, waiting_parts, waiting_submissions
from flows.budget import budget_lines
from flows.guard import guarded
from flows.health import LOCAL, Condition, health
from flows.logs import Event, log_lines
from flows.machine import free_disk
from flows.pool import Pool
from intake.registry import missed
from publish.path import State
from publish.store import states
from schemas.errors import CommonsError, TransportError, UsageError

STAGES = {
    Event.SUBMISSION_DECIDED: "intake",
    Event.SCRUB_BATCH: "scrub",
    Event.SCRUB_STOPPED: "scrub",
    Event.MEASURED: "measure",
    Event.CHECKED: "check",
    Event.APPROVED: "approve",
    Event.PUBLISHED: "publish",
    Event.PURGED: "purge",
}
"""The stage that an event of the log tells of."""

_COUNTED = {"records": "rows", "bytes": "bytes", "seconds": "seconds"}


def metrics_text(pool: Pool) -> str:
    """All metrics as text."""
    return generate_latest(_registry(pool.root)).decode()


def write_metrics(pool: Pool, path: Path) -> None:
    """Writes them to a file, whole or not at all, for who collects text files; readable by its owner and group."""
    if not path.parent.is_dir():
        raise UsageError("The folder of --out is not there.", "Make it, or give another one.")
    before = os.umask(0o027)
    try:
        write_to_textfile(str(path), _registry(pool.root))
    finally:
        os.umask(before)


def serve_metrics(pool: Pool, host: str, port: int) -> Callable[[], None]:
    """Serves them over HTTP, to whoever reaches that address, from a thread of its own; returns what ends it.

    Raises TransportError where the port is taken.
    """
    try:
        server, thread = start_http_server(port, host, _registry(pool.root))
    except OSError:
        server = None
    if server is None:
        raise TransportError("The metrics cannot be served.", "Is the port of --metrics-port in use?")

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _registry(root: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(PoolCollector(root))
    return registry


class PoolCollector(Collector):
    """Looks at the pool anew each time that it is asked. What cannot be told (the state database is away) is left out."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        pool, now = Pool(self._root), datetime.now(UTC)
        yield _gauge("commons_build_info", "The program.", ["version"], [((version("incident-commons"),), 1)])
        for part in (_stages, _queue, _runs, _budget, _releases, _disk, _health):
            with suppress(CommonsError):
                yield from guarded(part, pool, now)
        with suppress(CommonsError):
            guarded(pool.engine.dispose)


def _counter(name: str, about: str, labels: list[str], counts: "Counter[tuple[str, ...]]") -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, number in sorted(counts.items()):
        family.add_metric(values, number)
    return family


def _gauge(name: str, about: str, labels: list[str], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for label, value in values:
        family.add_metric(label, value)
    return family


def _stages(pool: Pool, now: datetime) -> list[Metric]:
    """What the log tells of each stage. Files of the log that are given up take their counts with them: a monitor sees a restart."""
    counts = {name: Counter[tuple[str, ...]]() for name in ("runs", *_COUNTED)}
    codes, errors = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    last = dict[tuple[str, ...], float]()
    for line in log_lines(pool):
        for code, number in line.get("counts", {}).items():
            codes[(code,)] += number
        if line["event"] == Event.ERROR:
            errors[(str(line.get("exit_code", "")),)] += 1
        elif (stage := STAGES.get(line["event"])) is not None:
            place = (stage, _outcome(line))
            counts["runs"][place] += 1
            last[place] = datetime.fromisoformat(line["at"]).timestamp()
            for name, field in _COUNTED.items():
                counts[name][place] += line.get(field, 0)
    labels = ["stage", "outcome"]
    return [
        *(_counter(f"commons_stage_{name}", f"{name} of a stage, by how it ended.", labels, of) for name, of in counts.items()),
        _gauge("commons_stage_last_timestamp_seconds", "When a stage last ended so.", labels, last.items()),
        _counter("commons_findings", "Findings in submissions, by code.", ["code"], codes),
        _counter("commons_errors", "Runs and submissions that ended with an error, by exit code.", ["exit_code"], errors),
    ]


def _outcome(line: dict[str, Any]) -> str:
    if line["event"] == Event.SCRUB_STOPPED:
        return "stopped"
    return str(line.get("decision", "done")).replace(" ", "_")


def _queue(pool: Pool, now: datetime) -> list[Metric]:
    submissions, unreachable = waiting_submissions(pool)
    parts = waiting_parts(pool)
    values = {
        "commons_submissions_waiting": ("Complete submissions in the drops.", submissions.number),
        "commons_submissions_waiting_oldest_seconds": ("For how long the oldest waits.", submissions.hours(now) * 3600),
        "commons_drops_unreachable": ("Drops that cannot be looked into.", len(unreachable)),
        "commons_parts_waiting": ("Accepted parts that are not scrubbed.", parts.number),
        "commons_parts_waiting_oldest_seconds": ("For how long the oldest waits.", parts.hours(now) * 3600),
        "commons_exports_missed": (
            "Companies whose export was due and did not come.",
            len(missed(pool.registry, pool.catalogue, now)),
        ),
    }
    return [GaugeMetricFamily(name, about, value) for name, (about, value) in values.items()]


def _runs(pool: Pool, now: datetime) -> list[Metric]:
    """Of companies' deployments, the one whose last run is the longest ago."""
    late = Counter({(kind,): 0 for kind in ("intake", "release", "retention")})
    late.update((_kind(name),) for name in late_runs(pool, now))
    ends = dict[tuple[str, ...], float]()
    for name, moment in last_ends(pool).items():
        kind = (_kind(name),)
        ends[kind] = min(ends.get(kind, moment.timestamp()), moment.timestamp())
    return [
        _gauge("commons_runs_late", "Deployments of which no run ended well in time.", ["deployment"], late.items()),
        _gauge("commons_run_last_success_timestamp_seconds", "When a run last ended well.", ["deployment"], ends.items()),
    ]


def _kind(name: str) -> str:
    return "intake" if name.startswith("intake-") else name


def _budget(pool: Pool, now: datetime) -> list[Metric]:
    rho, epsilon = dict[tuple[str, ...], float](), dict[tuple[str, ...], float]()
    for line in budget_lines(pool):
        for kind in ("spent", "reserved", "left", "cap"):
            rho[line.scope, kind] = float(getattr(line, f"rho_{kind}"))
            epsilon[line.scope, kind] = getattr(line, f"epsilon_{kind}")
    about = "Privacy budget of a quarter or year; reserved is a part of spent, for draws without an answer."
    return [
        _gauge("commons_budget_rho", about, ["period", "kind"], rho.items()),
        _gauge("commons_budget_epsilon", about, ["period", "kind"], epsilon.items()),
    ]


def _releases(pool: Pool, now: datetime) -> list[Metric]:
    found = Counter(states(pool.engine).values())
    return [_gauge("commons_releases", "Releases by state.", ["state"], [((str(state),), found[state]) for state in State])]


def _disk(pool: Pool, now: datetime) -> list[Metric]:
    free = {(name or "root",): float(free_disk(pool.root / name)) for name in LOCAL}
    return [
        _gauge("commons_disk_free_bytes", "Free on the disk of a folder.", ["folder"], free.items()),
        GaugeMetricFamily("commons_disk_kept_free_bytes", "What is left alone of each disk.", pool.keep_free),
        GaugeMetricFamily("commons_memory_bytes", "Memory that this machine may give.", pool.machine.memory),
    ]


def _health(pool: Pool, now: datetime) -> list[Metric]:
    found = {(each.check,): float(each.condition is Condition.WELL) for each in health(pool, now)}
    return [_gauge("commons_health", "1 where a check of `commons status --health` is well.", ["check"], found.items())]
