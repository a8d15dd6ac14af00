"""Names of the regions that help lines are listed under (ISO 3166-1 alpha-2; 001 is the world by UN M49)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

REGION_NAMES: Mapping[str, str] = {
    "001": "International",
    "AR": "Argentina",
    "AT": "Austria",
    "AU": "Australia",
    "BE": "Belgium",
    "BR": "Brazil",
    "CA": "Canada",
    "CH": "Switzerland",
    "DE": "Germany",
    "DK": "Denmark",
    "ES": "Spain",
    "EU": "European Union",
    "FI": "Finland",
    "FR": "France",
    "GB": "United Kingdom",
    "HK": "Hong Kong",
    "IE": "Ireland",
    "IN": "India",
    "IT": "Italy",
    "JP": "Japan",
    "KR": "South Korea",
    "MX": "Mexico",
    "NL": "Netherlands",
    "NO": "Norway",
    "NZ": "New Zealand",
    "PL": "Poland",
    "PT": "Portugal",
    "SE": "Sweden",
    "SG": "Singapore",
    "US": "United States",
    "ZA": "South Africa",
}


@dataclass(frozen=True)
class RegionLines:
    """The help lines of one region, each as (name, contact)."""

    region: str
    name: str
    lines: tuple[tuple[str, str], ...]


def by_region(helplines: Iterable[Mapping[str, str]], first: Iterable[str] = ()) -> tuple[RegionLines, ...]:
    """Help lines by region: the regions of the plan first, the others by name. Entries without a contact are left out."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in helplines:
        if line["contact"]:
            found.setdefault(line["region"], []).append((line["name"], line["contact"]))
    preferred = list(first)

    def place(region: str) -> tuple[int, str]:
        rank = preferred.index(region) if region in preferred else len(preferred)
        return rank, REGION_NAMES.get(region, region)

    return tuple(RegionLines(r, REGION_NAMES.get(r, r), tuple(found[r])) for r in sorted(found, key=place))
