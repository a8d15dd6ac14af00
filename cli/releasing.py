"""Commands of the last steps of a release: read the brief, sign, publish."""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.output import Json, print_json, print_table, quarter_of, say
from cli.pool import DEFAULT_ROOT, Root, run_release
from schemas.errors import ExitCode

KeyFile = Annotated[Path, Parameter(name="--key", help="Your private key file.")]


def _pool(root: Path) -> Any:
    from flows.pool import Pool

    return Pool(root.resolve())


def brief(
    quarter: str,
    *,
    check: Annotated[bool, Parameter(negative="")] = False,
    claims: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """Write a draft of the brief of a measured quarter, to be read before anybody signs.

    Staff's own paragraphs stand in brief/QUARTER.md below the pool's root; docs/guides/brief.md has their syntax.

    Example: `commons brief 2026Q1 --check`

    Args:
        check: write nothing; name each sentence of staff's text that the data do not support, by its line.
        claims: write nothing; print the claims that the cells support, to be taken over into staff's text.
        out: where to write the draft (HTML, and PDF beside it); brief/QUARTER.draft.html below the root, if not given.
    """
    from flows.briefs import READING_PAGES, claim_blocks, text_objections, text_path, write_draft

    pool, of = _pool(root), quarter_of(quarter)
    if claims:
        blocks = claim_blocks(pool, of)
        if json:
            print_json(blocks)
        else:
            say("\n\n".join(blocks) or "No claim is supported by the cells of this release.")
        return ExitCode.DONE
    if check:
        found = text_objections(pool, of)
        if json:
            print_json([{"line": each.line, "reason": each.reason} for each in found])
        else:
            name = text_path(pool, of).name
            for each in found:
                say(f"{name}:{each.line}: {each.reason}")
            if not found:
                say("Nothing in staff's text contradicts the data." if text_path(pool, of).exists() else "Staff wrote no text.")
        return ExitCode.CHECK_FAILED if found else ExitCode.DONE
    draft = write_draft(pool, of, out or text_path(pool, of).with_suffix(".draft.html"))
    facts = {
        "files": [str(file) for file in draft.files],
        "claims": len(draft.brief.findings),
        "staff_claims": draft.brief.staff_claims,
        "reading_pages": draft.pages,
    }
    if json:
        print_json(facts)
        return ExitCode.DONE
    for file in draft.files:
        say(f"draft: {file}")
    say(f"{facts['claims']} claims of its own, {facts['staff_claims']} of staff, each supported by its cells.")
    if draft.pages is not None and draft.pages > READING_PAGES:
        say(f"It takes {draft.pages} pages before the appendix; {READING_PAGES} are read. Shorten staff's text.")
    return ExitCode.DONE


def approve(
    quarter: str,
    *,
    key: KeyFile,
    show: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """Show what a checked release holds, costs and changes, and sign it with your key, in the role that the registry gives you.

    On a terminal it asks before it signs.

    Example: `commons approve 2026Q1 --key keys/privacy.key`

    Args:
        show: show it, and sign nothing.
        yes: do not ask.
    """
    from flows.approving import to_sign
    from flows.release_steps import approve_release, person_of
    from publish.signoff import missing_roles

    pool, of = _pool(root), quarter_of(quarter)
    person, _ = person_of(pool, key)
    found = to_sign(pool, of)
    if not json:
        _print_to_sign(found)
    if show:
        if json:
            print_json(_facts(found))
        return ExitCode.DONE
    if not json and not yes and sys.stdin.isatty() and input(f"Sign as {person.id} ({person.role})? [y/N] ").lower() != "y":
        say("Nothing is signed.")
        return ExitCode.NOT_APPROVED
    signed = approve_release(pool, of, key, found.content)
    missing = missing_roles(signed)
    if json:
        print_json({**_facts(found), "signed": _people(signed), "missing": list(missing)})
    else:
        say("signed: " + ", ".join(f"{s.person} ({s.role})" for s in signed))
        say("missing: " + ", ".join(missing) if missing else "approved: `commons publish` writes the release.")
    return ExitCode.DONE


def _people(signed: Any) -> list[dict[str, str]]:
    return [{"person": s.person, "role": s.role} for s in signed]


def _facts(found: Any) -> dict[str, Any]:
    measured = found.measured
    return {
        "release": f"{measured.quarter}/v{measured.version}",
        "reason": measured.plan.reason,
        "plan": found.content.plan_hash,
        "tables": found.content.tables_digest,
        "text": found.content.text_digest,
        "terms": found.content.terms_digest,
        "terms_decided": found.terms,
        "contributors": measured.plan.contributors,
        "epsilon": measured.spend.epsilon,
        "delta": measured.spend.delta,
        "year_epsilon": measured.spend.year_epsilon,
        "cells": found.statuses,
        "claims": found.claims,
        "staff_claims": len(found.text.claims),
        "objections": [{"line": each.line, "reason": each.reason} for each in found.objections],
        "checks": [{"name": c.name, "passed": c.passed, "stops": c.stops, "detail": c.detail} for c in found.checks],
        "compared_with": found.earlier,
        "changes": [vars(change) for change in found.changes],
        "signed": _people(found.signed),
        "missing": list(found.missing),
    }


def _print_to_sign(found: Any) -> None:
    """The screen before a signature, in the order in which it is judged."""
    from cli.pool import print_checks

    facts, spend = _facts(found), found.measured.spend
    say(f"{facts['release']} ({facts['reason']}), {facts['contributors']} companies")
    columns = ("cells", "published", "too noisy", "too few companies", "not collected")
    names = ("title", "ok", "too_noisy", "too_few_companies", "not_collected")
    print_table("What is in it", columns, ([row[name] for name in names] for row in found.statuses))
    say(f"cost      ε = {spend.epsilon:.4g} at δ = {spend.delta:g}; {spend.year} so far ε = {spend.year_epsilon:.4g}")
    say(f"brief     {facts['claims']} claims of its own; `commons brief {found.measured.quarter}` writes it to be read")
    text = f"{found.text_file}, {facts['staff_claims']} claims" if found.text_file else "none"
    say(f"text      of staff: {text}")
    if found.terms:
        counts = found.terms
        told = f"{counts['public']} public, {counts['members']} for members, {counts['reject']} rejected"
        say(f"terms     {told}; {counts['waiting']} wait for review")
    for each in found.objections:
        say(f"          line {each.line}: {each.reason}")
    print_checks(found.checks, json=False)
    if found.changes:
        rows = ((change.what, change.before, change.now) for change in found.changes)
        print_table(f"Changed since {found.earlier}", ("what", "then", "now"), rows)
    else:
        say(f"changed   nothing since {found.earlier}" if found.earlier else "changed   this is the first release of the pool")
    say(f"signed    {', '.join(f'{s.person} ({s.role})' for s in found.signed) or 'nobody yet'}")
    say("A signature covers:")
    say(f"  plan    {facts['plan']}")
    say(f"  tables  {facts['tables']}")
    say(f"  text    {facts['text'] or 'none'}")
    say(f"  terms   {facts['terms'] or 'none'}")


def publish(
    quarter: str,
    *,
    wait: Annotated[bool, Parameter(negative="")] = False,
    to: str = "",
    root: Root = DEFAULT_ROOT,
    json: Json = False,
) -> int:
    """Write the release of an approved quarter. Again: the same folder, unchanged.

    Example: `commons publish 2026Q1 --root pool`

    Args:
        wait: measure and check, pause until both have signed, then publish.
        to: copy it to s3://bucket/prefix as well, whole or not at all, and name it in the catalogue there.
    """
    result = run_release(root, quarter, "publish", wait)["publish"]
    if to:
        from flows.mirroring import copy_release

        copy_release(root.resolve() / "releases", "/".join(Path(result["folder"]).parts[-2:]), to)
        result = {**result, "copied_to": to}
    if json:
        print_json(result)
    else:
        say(f"published: {result['folder']}" + (f", copied to {to}" if to else ""))
        for reason in result["skipped"]:
            say(reason)
    return ExitCode.DONE
