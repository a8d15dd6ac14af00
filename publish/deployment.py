"""The pool's entry for public registries of differential-privacy deployments: public facts only."""

import re
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from schemas.deployment import (
    Administrative,
    Basic,
    Curator,
    CuratorType,
    Deployment,
    DeploymentModel,
    Implementation,
    Parameters,
    PrivacyLoss,
    RegistryEntry,
    Sector,
    Variant,
)
from schemas.errors import UsageError
from schemas.parameters import PrivacyParameters


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CuratorSettings(_Settings):
    """Who publishes."""

    name: str = Field(min_length=1)
    type: CuratorType


class DeploymentSettings(_Settings):
    """All of `config/deployment.toml`: what only the operator can say."""

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    intended_use: str = Field(min_length=1)
    region: str = Field(min_length=1)
    sector: Sector
    authors: tuple[str, ...] = Field(min_length=1)
    curators: tuple[CuratorSettings, ...] = Field(min_length=1, alias="curator")


def load_deployment(path: Path) -> DeploymentSettings:
    """Reads `deployment.toml`. Raises UsageError where it is missing or breaks a rule."""
    try:
        return DeploymentSettings.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        pass
    raise UsageError(
        "deployment.toml cannot be read or breaks a rule.", "Compare it with config/deployment.toml of this version."
    )


def registry_entry(
    settings: DeploymentSettings, privacy: PrivacyParameters, first_published: date, spent: Sequence[str], notice: str = ""
) -> RegistryEntry:
    """The entry.

    Args:
        first_published: when the first release was published.
        spent: what each quarter and year has spent, a line each.
        notice: what a reader must know before anything else, as that the data are synthetic.
    """
    budget, companies = privacy.budget, privacy.companies
    return RegistryEntry(
        url_slug=re.sub(r"[^a-z0-9]+", "-", settings.name.lower()).strip("-") or "deployment",
        deployment=Deployment(
            basic=Basic(
                name=settings.name,
                data_curators=tuple(Curator(data_curator_name=c.name, data_curator_type=c.type) for c in settings.curators),
                description=" ".join(filter(None, (notice, settings.description))),
                intended_use=settings.intended_use,
                data_product_type="Summary statistics",
                data_product_region=settings.region,
                data_product_sector=settings.sector,
                publication_date=first_published,
            ),
            dp_variant=Variant(
                variant_name="Zero-concentrated DP",
                data_domain="Records of conversations, of several companies, each with a company, a pseudonym of a user, and "
                "coded fields with a public list of values each. No text enters the measurement.",
                unprotected_quantities="How many companies contributed to a quarter, which outcomes companies collect (from "
                "their registration), the plan of the release and all parameters, and the share of planted test values that "
                "the removal of personal data found. The guarantee is conditional on which submissions were accepted.",
            ),
            privacy_loss=PrivacyLoss(
                privacy_unit="User-quarter, within one company",
                privacy_unit_details="Two sets of records are adjacent if one has all records of one pseudonymous user of one "
                "company in one calendar quarter more than the other (add or remove one). A person who is active at k "
                "companies in a quarter is protected by k²·rho, over k quarters by k·rho.",
                privacy_parameters=Parameters(
                    epsilon=float(budget.quarter_epsilon), delta=float(budget.delta), rho=float(budget.quarter_rho)
                ),
                privacy_parameters_details=f"Caps of one quarter; a calendar year is capped at rho = {float(budget.year_rho):g} "
                f"and ε = {float(budget.year_epsilon):g} at δ = {float(budget.delta):g}. Spent:\n\n"
                + "".join(f"- {line}\n" for line in spent),
            ),
            deployment_model=DeploymentModel(
                model_name="Central",
                model_name_details="Companies send pseudonymous, redacted records to the operator of the pool, who removes "
                "personal data once more, measures and publishes.",
                actors="- Companies: each sees its own data, and is not told another's.\n"
                "- The operator: is trusted with the records until their retention is over; the text is never published.\n"
                "- Two approvers, one for privacy and one clinical: see the noisy tables before they are published.\n"
                "- Readers: the public, with any other knowledge; companies that compare the tables with their own data.",
                release_type="Many releases",
                release_type_details="One release a quarter. A superseding version of a quarter spends from a reserve of that "
                "quarter's budget. Caps hold for each quarter and for each calendar year.",
                data_source_type="Dynamic",
                data_source_type_details="New records come in for each quarter.",
                access_type="Non-interactive",
            ),
            implementation=Implementation(
                preprocessing_and_hyperparameter_tuning="Tables, bounds and parameters are registered in a ledger before any "
                "data of the quarter are read. Nothing is tuned on the data.",
                mechanisms="Discrete Gaussian noise on exact integer sums, by OpenDP, under one privacy filter a release. Users' "
                "contributions are bounded in exact integer arithmetic, so that no floating-point number comes before the noise. "
                "Noise is drawn once for a registered plan: its answer is stored, and asked again it is given as it is.",
                composition="All measured tables of a release compose in approximate zero-concentrated differential privacy. "
                "Releases of a year add up in a ledger of exact rationals, which charges before noise is drawn; its entries "
                "are chained by hash and named in every release.",
                post_processing="Estimates that agree with each other, intervals, rates and charts. A number is withheld where "
                f"fewer than {companies.minimum} companies stand behind it or one has most of it, decided on noisy values "
                "under the same budget.",
                justification="Parameters are the project's own; its design documents give the measured effect of each.",
                utility="Every number is published with the standard deviation of its noise and an interval that holds noise "
                "and sampling.",
            ),
            administrative=Administrative(status="Draft", registry_authors=settings.authors, tier=3),
        ),
    )


class _ForPeople(yaml.SafeDumper):
    """Lists within a text are lines of the file, as in the registry's own entries."""


_ForPeople.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


def registry_yaml(entry: RegistryEntry) -> str:
    """The entry as a file of the registry. A date is text there, as the registry has it."""
    plain = entry.model_dump(mode="json")
    return yaml.dump(plain, Dumper=_ForPeople, sort_keys=False, allow_unicode=True, width=120)
