"""Code lists: loaded once from the packaged TOML files, used by the models, the documentation and the release tables."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

OPEN_OUTCOMES = MappingProxyType({"unknown": "unknown", "pending": "window still open"})


@dataclass(frozen=True)
class Domain:
    """One domain of harm: its code lists and its outcome kinds, each code with a plain-language label.

    `referrals` are the interventions that point to help elsewhere.
    """

    name: str
    label: str
    referrals: tuple[str, ...]
    codes: Mapping[str, Mapping[str, str]]
    outcome_labels: Mapping[str, str]
    outcome_values: Mapping[str, Mapping[str, str]]


def _parse_domain(raw: dict[str, Any]) -> Domain:
    labels = {kind: str(values["label"]) for kind, values in raw["outcomes"].items()}
    values = {
        kind: {**{k: v for k, v in listed.items() if k != "label"}, **OPEN_OUTCOMES} for kind, listed in raw["outcomes"].items()
    }
    return Domain(raw["domain"], raw["label"], tuple(raw["referrals"]), raw["codes"], labels, values)


@cache
def domains() -> Mapping[str, Domain]:
    """Every domain that has a file in `schemas/domains/`, by name."""
    found = [
        _parse_domain(tomllib.loads(entry.read_text(encoding="utf-8")))
        for entry in sorted(files("schemas").joinpath("domains").iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".toml")
    ]
    return MappingProxyType({domain.name: domain for domain in found})


@cache
def code_lists() -> Mapping[str, Mapping[str, str]]:
    """All code lists by name, code to label: the common ones and the union over domains, in declared order."""
    common = tomllib.loads(files("schemas").joinpath("common.toml").read_text(encoding="utf-8"))["codes"]
    lists: dict[str, dict[str, str]] = {name: dict(codes) for name, codes in common.items()}
    lists["domain"] = {domain.name: domain.label for domain in domains().values()}
    lists["outcome_kind"], lists["outcome_value"] = {}, {}
    for domain in domains().values():
        for name, codes in domain.codes.items():
            lists.setdefault(name, {}).update(codes)
        lists["outcome_kind"].update(domain.outcome_labels)
        for values in domain.outcome_values.values():
            lists["outcome_value"].update(values)
    return MappingProxyType(lists)


def label(list_name: str, code: str) -> str:
    """The plain-language label of a code; the code itself where the list has none (as `all` and `other`)."""
    return code_lists().get(list_name, {}).get(code, code)


@dataclass(frozen=True)
class Coded:
    """Marks a `str` field as one code of the named list: validated, documented and typed from the same declaration."""

    list_name: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(code_lists()[self.list_name]))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "enum": list(code_lists()[self.list_name]), "title": self.list_name}
