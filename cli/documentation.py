"""Writes the generated documents, or checks that they are not stale: `python -m cli.documentation [--check]`."""

import json
import sys
from pathlib import Path

from flows.pool import packaged_config
from publish.path import document
from schemas.deployment import RegistryEntry
from schemas.documentation import GENERATED, contract_documents
from schemas.parameters import load_privacy_parameters
from schemas.plan import load_release_plan

DOCS = Path(__file__).resolve().parent.parent / "docs"


def documents() -> dict[str, str]:
    """Every generated document: path below `docs/` and text."""
    privacy = load_privacy_parameters(packaged_config("privacy.toml"))
    plan = load_release_plan(packaged_config("release_plan.toml"), privacy)
    entry = json.dumps(RegistryEntry.model_json_schema(), indent=2) + "\n"
    return {**contract_documents(plan), "release/path.md": GENERATED + document(), "release/deployment.schema.json": entry}


def stale() -> list[str]:
    """Documents that differ from what the code declares."""
    found = {name: (DOCS / name).read_text(encoding="utf-8") if (DOCS / name).exists() else "" for name in documents()}
    return [name for name, text in documents().items() if found[name] != text]


def main(check: bool) -> int:
    """Writes the documents, or with `check` lists the stale ones and returns 1 where there are any."""
    if check:
        for name in (names := stale()):
            sys.stderr.write(f"docs/{name} is stale: run `make docs`\n")
        return int(bool(names))
    for name, text in documents().items():
        (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
        (DOCS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
