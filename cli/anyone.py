"""Commands for anyone: a demonstration of it all, and data with known truth."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.output import Json, print_json, print_table, progress, say
from schemas.errors import ExitCode, UsageError

Conversations = Annotated[
    Path | None, Parameter(help="JSON Lines of {turns: [{role, text}]}: turn text comes from here, not from the templates.")
]


def simulate(
    *,
    out: Path,
    seed: int = 7,
    companies: int = 3,
    quarters: int = 2,
    users: int = 2_000,
    conversations: Conversations = None,
    json: Json = False,
) -> int:
    """Write signed synthetic submissions with known truth: one folder a submission, companies.toml, keys and truth.json.

    Example: `commons simulate --out made --seed 7 --users 500`

    Args:
        out: folder to write; it must not exist or be empty.
        seed: the same seed gives the same bytes.
        companies: number of companies.
        quarters: number of quarters, from 2026Q1.
        users: users a quarter, over all companies.
    """
    from sample_data.parameters import SimulationParameters
    from sample_data.simulate import simulate as write

    if out.exists() and any(out.iterdir()):
        raise UsageError("The folder is not empty.", "Choose a new one.")
    parameters = SimulationParameters(seed=seed, companies=companies, quarters=quarters, users=users)
    write(out, parameters, conversations)
    submissions = sorted(str(path.parent) for path in out.glob("*/*/manifest.json"))
    if json:
        print_json({"submissions": submissions, "truth": str(out / "truth.json"), "registry": str(out / "companies.toml")})
    else:
        say(f"{len(submissions)} submissions of {companies} companies in {out}; the truth is in {out / 'truth.json'}.")
    return ExitCode.DONE


def demo(
    *,
    root: Path = Path("demo"),
    seed: int = 7,
    users: int = 24_000,
    conversations: Conversations = None,
    json: Json = False,
) -> int:
    """All of it on synthetic data: simulate, submit, take in, scrub, three quarterly releases, brief. Run again: nothing changes.

    Example: `commons demo --root demo`

    Args:
        root: the pool's root.
        seed: seed of the synthetic data.
        users: users of the last quarter, over three companies; each quarter before it has fewer.
    """
    from flows.prefect_home import prepare

    prepare(root)
    from flows.demo import run_demo

    with progress():
        summary = run_demo(root.resolve(), seed, users, conversations)
    if json:
        print_json(summary)
        return ExitCode.DONE
    rows = ((r["quarter"], r["version"], r["cells"], r["published"], r["epsilon"], r["folder"]) for r in summary["releases"])
    print_table("Releases (synthetic data)", ("quarter", "version", "cells", "with an estimate", "ε", "folder"), rows)
    say(f"records in {summary['records']}, quarantined {summary['quarantined']}")
    for year in summary["years"]:
        say(f"year {year['year']}: ε = {year['epsilon']:.4f} at δ = {year['delta']:g} (rho {year['rho']})")
    say(f"{summary['seconds']:.0f} s, peak memory {summary['peak_mb']:.0f} MB (largest process)")
    say()
    say(f'commons query --root {root} "{summary["query"]}"')
    print_table("", summary["columns"], summary["rows"])
    for title, told in summary["emerging"].items():
        print_table(title, told["columns"], told["rows"])
    for reason in dict.fromkeys(reason for release in summary["releases"] for reason in release["skipped"]):
        say(reason)
    say(f"Open {summary['releases'][-1]['folder']}/explorer.html and brief.html in a browser." if summary["releases"] else "")
    return ExitCode.DONE
