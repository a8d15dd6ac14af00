"""An entry of the Differential Privacy Deployments Registry, as far as this project fills it in.

Names, order and the values allowed are those of the registry: `schemas/deployments-schema.yaml` of the repository
opendp/deployments-registry-data, commit 057e5d8 (2026). Fields that it has and that are not here stay empty: among them the
number of privacy units, which is not public.
"""

import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


CuratorType = Literal["Government", "Industry", "Nonprofit"]
Sector = Literal["Technology", "Healthcare", "Education", "Government", "Energy", "Finance"]


class Curator(_Part):
    """Who publishes the data product."""

    data_curator_name: str = Field(min_length=1)
    data_curator_type: CuratorType


class Basic(_Part):
    """What is published, by whom, what for, since when (tier 1)."""

    name: str = Field(min_length=1)
    data_curators: tuple[Curator, ...] = Field(min_length=1)
    description: str = Field(min_length=1)
    intended_use: str = Field(min_length=1)
    data_product_type: Literal["Summary statistics"]
    data_product_region: str = Field(min_length=1)
    data_product_sector: Sector
    publication_date: datetime.date = Field(description="of the first release")


class Variant(_Part):
    """The variant of differential privacy (tier 2), what is protected and what is not (tier 3)."""

    variant_name: Literal["Zero-concentrated DP"]
    data_domain: str
    unprotected_quantities: str


class Parameters(_Part):
    """The caps of one privacy unit."""

    epsilon: float = Field(gt=0)
    delta: float = Field(gt=0, lt=1)
    rho: float = Field(gt=0)


class PrivacyLoss(_Part):
    """Whose data are protected, and how much of the protection is spent."""

    privacy_unit: str
    privacy_unit_details: str
    privacy_parameters: Parameters
    privacy_parameters_details: str


class DeploymentModel(_Part):
    """Who is trusted with what."""

    model_name: Literal["Central"]
    model_name_details: str
    actors: str
    release_type: Literal["Many releases"]
    release_type_details: str
    data_source_type: Literal["Dynamic"]
    data_source_type_details: str
    access_type: Literal["Non-interactive"]


class Implementation(_Part):
    """How it is done (tier 3)."""

    preprocessing_and_hyperparameter_tuning: str
    mechanisms: str
    composition: str
    post_processing: str
    justification: str
    utility: str


class Administrative(_Part):
    """The state of the entry itself."""

    status: Literal["Draft"]
    registry_authors: tuple[str, ...] = Field(min_length=1)
    tier: Literal[3]


class Deployment(_Part):
    """The parts of an entry."""

    basic: Basic
    dp_variant: Variant
    privacy_loss: PrivacyLoss
    deployment_model: DeploymentModel
    implementation: Implementation
    administrative: Administrative


class RegistryEntry(_Part):
    """One entry: a file of the registry."""

    url_slug: str = Field(pattern=r"^[a-z0-9-]+$")
    deployment: Deployment
