"""Malformed records of the simulation over many seeds: whether each is coded as planted, and every good row kept."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson
from sqlalchemy import create_engine

from benchmarks.intake_material import FORMATS, read_in_process
from intake.acceptance import PoolDoor, take_in
from intake.catalogue import Catalogue
from intake.delivery import FolderDelivery
from intake.registry import load_registry
from sample_data.parameters import SimulationParameters
from sample_data.simulate import simulate
from schemas.periods import Quarter


@dataclass(frozen=True)
class Coded:
    """Malformed records planted and coded exactly so, kinds among them, and good rows sent and kept."""

    planted: int
    coded: int
    kinds: frozenset[str]
    good: int
    kept: int
    refused: int

    def __add__(self, other: "Coded") -> "Coded":
        sums = (getattr(self, name) + getattr(other, name) for name in ("planted", "coded"))
        rest = (getattr(self, name) + getattr(other, name) for name in ("good", "kept", "refused"))
        return Coded(*sums, self.kinds | other.kinds, *rest)  # type: ignore[misc, arg-type]


NONE = Coded(0, 0, frozenset(), 0, 0, 0)


def coded(seed: int, root: Path, users: int = 900) -> Coded:
    """One simulated quarter of three companies through the door. A row is good where nothing was planted in it.

    A malformed record is coded right where its findings are its code and no other; a good row is kept where it has no
    finding that quarantines, a repeat where it was sent before, and where its submission was accepted.
    """
    made = root / "made"
    parameters = SimulationParameters(seed=seed, users=users, quarters=1, malformed_share=0.029, formats=FORMATS)
    simulate(made, parameters)
    truth = orjson.loads((made / "truth.json").read_bytes())
    planted = {tuple(row[:4]): (row[4], row[5]) for row in truth["malformed"]["rows"]}
    repeats = {tuple(row[:4]) for row in truth["duplicates"]["rows"]}
    door, found, lost, refused = _door(root / "pool", made), dict[tuple[object, ...], set[str]](), 0, 0
    for sent in truth["submissions"]:
        result = take_in(FolderDelivery(made / sent["company"] / sent["submission_id"]), door)
        if result.decision != "accepted":
            refused, lost = refused + 1, lost + sent["records"]
        for finding in result.report.findings:
            if finding.code[:2] == "E2" or finding.code == "W301":
                place = (sent["company"], sent["submission_id"], finding.file, finding.row)
                found.setdefault(place, set()).add(finding.code)
    good = sum(sent["records"] for sent in truth["submissions"]) - len(planted)
    wrong = sum(place not in planted and codes != ({"W301"} if place in repeats else set()) for place, codes in found.items())
    right = sum(found.get(place) == {code} for place, (_, code) in planted.items())
    return Coded(len(planted), right, frozenset(kind for kind, _ in planted.values()), good, good - wrong - lost, refused)


def coded_over(seeds: Iterable[int], users: int = 900) -> Coded:
    """The sum over seeds."""
    total = NONE
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            total += coded(seed, Path(folder), users)
    return total


def _door(root: Path, made: Path) -> PoolDoor:
    root.mkdir(parents=True)
    secret = os.urandom(32)
    return PoolDoor(
        accepted=root / "accepted",
        staging=root / "staging",
        answers=root / "answers",
        registry=load_registry(made / "companies.toml"),
        catalogue=Catalogue(create_engine(f"sqlite:///{root / 'state.db'}")),
        signing_key=b"k" * 32,
        key_at_rest=lambda quarter, company: _same_key(quarter, company, secret),
        reader=read_in_process,
    )


def _same_key(quarter: Quarter, company: str, secret: bytes) -> bytes:
    return hashlib.sha256(f"{quarter}/{company}".encode() + secret).digest()
