"""Runs one system as processes of its own and watches what they cost together."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_LOOK_EVERY = 0.1  # each look is a few milliseconds of processor


@dataclass(frozen=True)
class Cost:
    """Seconds of the work as the system itself took them, processor seconds and most resident memory of all its processes."""

    seconds: float
    processor_seconds: float
    peak_mb: float


class SystemFailedError(Exception):
    """A system ended without an answer; its last words go to the operator."""


def watched(command: Sequence[str], answer: Path, log: Path, timeout: float = 3_600.0) -> tuple[dict[str, Any], Cost]:
    """Runs a command in a session of its own until it has written its answer (JSON with `seconds`), and what that cost.

    Raises SystemFailedError where it ends with another code than 0 or takes longer.
    """
    answer.unlink(missing_ok=True)
    with log.open("wb") as words:
        process = subprocess.Popen(command, stdout=words, stderr=words, start_new_session=True, cwd=ROOT)
        watch = _MemoryWatch(process.pid)
        watch.start()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the whole session: a Java process outlives its parent
                process.wait()
            watch.over.set()
            watch.join()
    if process.returncode or not answer.exists():
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise SystemFailedError(lines[-1][:200] if lines else f"exit code {process.returncode}")
    found = json.loads(answer.read_text(encoding="ascii"))
    return found, Cost(found["seconds"], watch.processor_seconds, watch.peak_mb)


class _MemoryWatch(threading.Thread):
    """Most resident memory of all processes of a session at one moment, and the processor time that they have used."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session, self.peak_mb, self.over = session, 0.0, threading.Event()
        self._ticks: dict[int, int] = {}

    def run(self) -> None:
        while not self.over.wait(_LOOK_EVERY):
            self.peak_mb = max(self.peak_mb, self._look())

    @property
    def processor_seconds(self) -> float:
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def _look(self) -> float:
        pages = 0
        for place in Path("/proc").iterdir():
            if not place.name.isdigit():
                continue
            try:
                fields = (place / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == self.session:  # fields after the name: state, parent, group, session, ..., 11 user, 12 system
                self._ticks[int(place.name)] = int(fields[11]) + int(fields[12])
                pages += int(fields[21])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
