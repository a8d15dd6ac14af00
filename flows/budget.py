"""What was spent, whether the ledger is as it was written, and the pool's entry for public registries of deployments."""

from datetime import datetime
from pathlib import Path
from typing import Any

from aggregate.ledger import BudgetLine, Fault, Part
from flows.pool import Pool
from publish.deployment import load_deployment, registry_entry, registry_yaml
from publish.verify import MANIFEST, manifest_of
from schemas.errors import BudgetRefusedError, UsageError


def budget_lines(pool: Pool) -> list[BudgetLine]:
    """Every quarter of the ledger in order, then every year."""
    quarters = pool.ledger.quarters()
    lines = [pool.ledger.line(quarter=quarter) for quarter in quarters]
    return lines + [pool.ledger.line(year=year) for year in sorted({quarter.year for quarter in quarters})]


def ledger_faults(pool: Pool) -> list[Fault]:
    """What of the ledger is not as it was written, by itself and by what the published releases say of it.

    A chain can be written anew from its start, by whoever owns the database; published releases have its hashes, signed.
    """
    known = {entry["hash"] for entry in pool.ledger.entries()}
    told = [set(manifest["spend"]["ledger_entries"]) for manifest in _published(pool)]
    return [*pool.ledger.faults(), *(Fault(Part.RELEASE, 0) for hashes in told if not hashes <= known)]


def refuse_broken_ledger(pool: Pool) -> None:
    """Raises BudgetRefusedError where the ledger, or an earlier state of it put in its place, does not tell what was spent."""
    if ledger_faults(pool):
        raise BudgetRefusedError(
            "The ledger is not as it was written, or not what the published releases say.",
            "`commons budget --verify` says where.",
        )


def export_deployment(pool: Pool, path: Path) -> None:
    """Writes the pool's entry for the Differential Privacy Deployments Registry. Raises UsageError before the first release."""
    releases = _published(pool)
    if not releases:
        raise UsageError("Nothing is published yet: there is no deployment to tell of.", "Publish the first release.")
    signed = [max(datetime.fromisoformat(signoff["signed_at"]) for signoff in release["signoffs"]) for release in releases]
    notice = next((release["notice"] for release in releases if "notice" in release), "")
    spent = [
        f"{line.scope}: rho = {line.rho_spent} ({float(line.rho_spent):g}), ε = {line.epsilon_spent:.4g} at δ = {line.delta:g}"
        for line in budget_lines(pool)
    ]
    settings = load_deployment(pool.config("deployment.toml"))
    entry = registry_entry(settings, pool.privacy, min(signed).date(), spent, notice)
    path.write_text(registry_yaml(entry), encoding="utf-8")


def _published(pool: Pool) -> list[dict[str, Any]]:
    return [manifest_of(path.parent) for path in sorted(pool.releases.glob(f"*/v*/{MANIFEST}"))]
