"""`croissant.json`: the release as ML Croissant 1.0 with its responsible-AI fields, so that data catalogues understand it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from publish.content import ordered_tables, release_id
from publish.datapackage import LICENCE, package_version
from publish.parquet import SYNTHETIC_NOTICE
from publish.views import READING, data_path
from schemas.stages import MeasuredRelease
from schemas.tables import TABLES, columns

_CR = (
    "citeAs column conformsTo extract field fileProperty fileObject fileSet format includes isLiveDataset jsonPath key md5 "
    "parentField path recordSet references regex repeated replace samplingRate separator source subField transform equivalentProperty"
).split()
_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    **{name: f"cr:{name}" for name in _CR},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
}
_TYPES = {"string": "sc:Text", "float": "sc:Float"}


def croissant(measured: MeasuredRelease, hashes: Mapping[str, str], sizes: Mapping[str, int], created: str) -> dict[str, Any]:
    """The description: a FileObject and a RecordSet a table.

    Args:
        measured: the release.
        hashes: SHA-256 of each data file by its path in the folder.
        sizes: its bytes.
        created: when the release was approved, ISO 8601.
    """
    plan, release = measured.plan, release_id(measured.quarter, measured.version)
    notice = f"{SYNTHETIC_NOTICE} " if plan.synthetic else ""
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": "incident-commons",
        "description": f"{notice}{READING}",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": LICENCE["path"],
        "url": f"urn:incident-commons:{release}",
        "version": package_version(measured),
        "datePublished": created[:10],
        "citeAs": f"@misc{{incident-commons, title={{Incident Commons, release {release}}}, note={{plan {plan.hash[:16]}}}}}",
        "creator": {"@type": "sc:Organization", "name": "Incident Commons"},
        **{f"rai:{name}": told for name, told in _responsible(measured).items()},
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": f"{table.name}.parquet",
                "name": f"{table.name}.parquet",
                "contentUrl": data_path(table.name),
                "contentSize": f"{sizes[data_path(table.name)]} B",
                "encodingFormat": "application/x-parquet",  # mlcroissant does not read the registered type
                "sha256": hashes[data_path(table.name)],
            }
            for table in ordered_tables(measured)
        ],
        "recordSet": [_record_set(table.name, measured) for table in ordered_tables(measured)],
    }


def _record_set(table: str, measured: MeasuredRelease) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": table,
        "name": table,
        "description": f"{TABLES[table].title}. One row: {TABLES[table].row}.",
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{table}/{column.name}",
                "name": column.name,
                "description": f"{column.description} [{column.unit}]" if column.unit else column.description,
                "dataType": _TYPES[column.type],
                "source": {"fileObject": {"@id": f"{table}.parquet"}, "extract": {"column": column.name}},
            }
            for column in columns(table, measured.plan.release_plan)
        ],
    }


def _responsible(measured: MeasuredRelease) -> dict[str, str | list[str]]:
    plan, spend = measured.plan, measured.spend
    return {
        "dataCollection": f"{plan.contributors} companies submitted redacted records of conversations of {measured.quarter}, as their own rules "
        "selected them. Text was scrubbed again, and none is published.",
        "dataCollectionTimeframe": [
            f"{day:%Y-%m-%d}" for day in (measured.quarter.start, measured.quarter.end - timedelta(days=1))
        ],
        "dataPreprocessingProtocol": "Each user's contribution was bounded; exact sums were added up over public keys; discrete Gaussian noise "
        "was added to them. README.md lists each measure with its bound and its share of the budget. Growth of cells and effects of changes follow from "
        "published numbers; terms were selected under the same guarantee.",
        "dataAnnotationProtocol": "Levels of ideation and behaviour are C-SSRS-informed and were inferred from text by classifiers or people at "
        "the companies. Nobody was assessed.",
        "dataBiases": "Only submitted conversations are counted: what companies select and in which languages differs from what happens. "
        "Who reaches a late turn differs from who does not.",
        "dataLimitations": "Not prevalence. An association is not an effect. Numbers carry noise; a null says why in `status`. "
        "Cells of fewer than the minimum of companies are withheld.",
        "dataUseCases": "What was seen after which intervention, for whom, at which depth, and what changes over time. "
        "Not for ranking companies, and not for decisions about a person.",
        "dataSocialImpact": "Suicide and self-harm are spoken of. Safe-messaging practice applies to whatever is made of it.",
        "personalSensitiveInformation": "None. Words that many users wrote may stand in emerging_terms, each seen by a reviewer. "
        f"Differentially private for a {plan.privacy.unit.name}: epsilon {spend.epsilon:.4g} at delta "
        f"{spend.delta:.4g} for this release.",
        "dataReleaseMaintenancePlan": "One release a quarter. A release is never edited: a later version supersedes it and says why.",
    }
