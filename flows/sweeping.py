"""Sweeping: answers whose time is over, and what killed runs left behind. No key is needed for it and none is destroyed."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from flows.drops import drop_of
from flows.pool import Pool
from flows.turns import Turn, in_turn
from intake.drop import ANSWERS, RECEIPT_NAME
from schemas.at_rest import Room
from schemas.errors import CommonsError
from schemas.storage import remove_unfinished

_LISTED = 100_000


def sweep(pool: Pool, now: datetime, *, dry_run: bool = False) -> dict[str, int]:
    """Removes what pool.toml's retention says; returns how much by kind, and how many drops could not be looked into.

    `answers`: folders below `answers/`; `delivered`: answers in companies' drops; `leftovers`: staging and scratch folders,
    and uploads of records to a store that were never completed.
    """
    kept = pool.retention
    old, left = now - timedelta(days=kept.answers_days), now - timedelta(days=kept.leftovers_days)
    with in_turn(pool, Turn.INGEST):
        swept = {
            "answers": _remove(_older(pool.root / "answers", "*/*", old), dry_run),
            "leftovers": _remove([*_older(pool.root / "staging", "*", left), *_older(pool.scratch, "*", left)], dry_run)
            + sum(remove_unfinished(pool.room(room), left, dry_run=dry_run) for room in Room),
        }
        found = [_delivered(pool, company, old, dry_run) for company in sorted(pool.registry.companies)]
    return {**swept, "delivered": sum(n for n in found if n is not None), "unreachable": sum(n is None for n in found)}


def _older(folder: Path, pattern: str, moment: datetime) -> list[Path]:
    """Folders in which nothing was written since a moment."""

    def last_written(path: Path) -> float:
        return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))

    return [path for path in sorted(folder.glob(pattern)) if path.is_dir() and last_written(path) < moment.timestamp()]


def _remove(folders: list[Path], dry_run: bool) -> int:
    for folder in () if dry_run else folders:
        shutil.rmtree(folder)
    return len(folders)


def _delivered(pool: Pool, company: str, moment: datetime, dry_run: bool) -> int | None:
    removed = 0
    try:
        with drop_of(pool, company) as drop:
            for digest, receipt in drop.of_each(ANSWERS, RECEIPT_NAME, _LISTED).items():
                folder = f"{ANSWERS}/{digest}"
                if receipt.modified >= moment.timestamp():
                    continue
                if not dry_run:
                    drop.remove(folder, [each.name for each in drop.entries(folder, _LISTED)])
                    drop.remove_folder(folder)
                removed += 1
    except CommonsError:  # the next sweep finds it
        return None
    return removed
