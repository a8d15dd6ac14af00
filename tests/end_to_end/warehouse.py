"""The same small facts as three warehouses hold them, and the records that they are, written by hand."""

import csv
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

KEY = bytes(range(32))
PERIOD, AS_OF = "2026-07", "2026-08-10T00:00:00Z"
Facts = dict[str, list[dict[str, Any]]]


def talk(conversation: str, start: str, *messages: tuple[int, str, str | None]) -> Iterable[dict[str, Any]]:
    """Messages of a conversation: seconds after its start, author, text. Ids count over all conversations."""
    for number, (seconds, author, text) in enumerate(messages, start=1):
        at = datetime.fromisoformat(start) + timedelta(seconds=seconds)
        yield {
            "id": f"{int(conversation[1:]):02}{number:02}",
            "conversation": conversation,
            "at": at,
            "author": author,
            "text": text,
        }


def person(conversation: str, user: str, **more: Any) -> dict[str, Any]:
    facts = {
        "conversation": conversation, "user": user, "app": "chat", "age": None, "age_source": None, "locale": "en-GB",
        "country": "GB", "stratum": "flagged-main", "opted_out": False, "legal_hold": False, "user_reported": False,
        "reviewed_by": None,
    }  # fmt: skip
    return facts | more


def event(identity: str, conversation: str, at: str, what: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "conversation": conversation, "at": datetime.fromisoformat(at), "what": what} | more


ODD_TEXT = 'one, "two"\nthree 🙂'
_MESSAGES = [
    # c1: a system message, a repeated row, two messages in one second, two interventions
    *talk(
        "c1", "2026-07-05T10:00:00Z", (0, "system", "be kind"), (5, "user", "a"), (20, "assistant", "b"), (60, "user", "c"),
        (70, "assistant", "d"), (120, "user", "e"), (120, "assistant", "f"), (180, "user", None),
    ),
    *talk("c1", "2026-07-05T10:00:00Z", (0, "system", "be kind"), (5, "user", "a")),
    *talk("c2", "2026-07-01T00:00:00Z", (0, "user", "g"), (9, "assistant", "h")),  # the first moment of the period, no risk
    *talk("c3", "2026-07-31T23:59:30Z", (0, "user", "i"), (40, "assistant", "j")),  # goes on after the period; nothing done
    *talk("c4", "2026-07-30T09:00:00Z", (0, "user", "k"), (10, "assistant", "l"), (80, "user", "m")),  # a child
    *talk("c5", "2026-07-20T12:00:00.250Z", (0, "user", ODD_TEXT), (3, "assistant", "n")),  # behaviour alone, same user as c1
    *talk("c6", "2026-07-10T12:00:00Z", (0, "user", "left"), (3, "assistant", "out")),  # opted out
    *talk("c7", "2026-07-10T12:00:00Z", (0, "user", "left"), (3, "assistant", "out")),  # under legal restriction
    *talk("c8", "2026-08-01T00:00:00Z", (0, "user", "too"), (3, "assistant", "late")),
    *talk("c9", "2026-06-30T23:59:59Z", (0, "user", "too"), (3, "assistant", "early")),
]  # fmt: skip

FACTS: Facts = {
    "conversations": [
        person("c1", "101", age=34, age_source="declared", user_reported=True),
        person("c2", "102", locale="de", country="DE", stratum="comparison"),
        person("c3", "103", app="friend", age=15, age_source="estimated", locale="zh-Hant-TW", country="TW"),
        person("c4", "104", age=11, age_source="verified", locale="EN_us", country="us"),
        person("c5", "101", app="voice", age=70, age_source="declared", locale=None, country=None, reviewed_by="moderator"),
        person("c6", "106", opted_out=True),
        person("c7", "107", legal_hold=True),
        person("c8", "101"),
        person("c9", "101"),
    ],
    "messages": _MESSAGES[::-1],  # rows come in any order
    "hits": [
        event("h2", "c1", "2026-07-05T10:02:01Z", "si_plan", message="0106", imminent=True),
        event("h1", "c1", "2026-07-05T10:01:01Z", "si_passive", message="0104", imminent=None),
        event("h1", "c1", "2026-07-05T10:01:01Z", "si_passive", message="0104", imminent=None),
        event("h3", "c3", "2026-07-31T23:59:31Z", "si_any", message="0301", imminent=False),
        event("h4", "c3", "2026-07-31T23:59:31Z", "self_injury", message="0301", imminent=None),
        event("h5", "c4", "2026-07-30T09:00:01Z", "si_active", message="0401", imminent=None),
        event("h6", "c5", "2026-07-20T12:00:01Z", "si_preparation", message=None, imminent=None),
        event("h7", "c8", "2026-08-01T00:00:01Z", "si_plan", message="0801", imminent=True),
    ],
    "actions": [
        event("a2", "c1", "2026-07-05T10:02:01Z", "hotline_card", message=None),  # names no message; before a1 in the table
        event("a1", "c1", "2026-07-05T10:01:10Z", "supportive_reply", message="0105"),
        event("a1", "c1", "2026-07-05T10:01:10Z", "supportive_reply", message="0105"),  # delivered twice
        event("a3", "c4", "2026-07-30T09:00:10Z", "hotline_card", message="0402"),
        event("a4", "c5", "2026-07-20T12:00:03.250Z", "refusal", message="0502"),
    ],
    "outcomes": [
        event("o1", "c1", "2026-07-05T10:04:00Z", "hotline_opened", action="a2"),
        event("o2", "c3", "2026-08-05T08:00:00Z", "harm_reported", action=None),
        event("o3", "c4", "2026-07-30T09:00:09Z", "hotline_opened", action="a3"),  # out of order: before the card was shown
        event("o4", "c4", "2026-07-30T09:00:40Z", "card_dismissed", action="a3"),
        event("o6", "c4", "2026-08-02T09:00:00Z", "hotline_opened", action="a3"),  # after its window of 24 hours
        event("o1", "c1", "2026-07-05T10:04:00Z", "hotline_opened", action="a2"),  # delivered twice
        event("o5", "c1", "2026-07-05T10:05:00Z", "page_viewed", action="a2"),
    ],
}


def pseudonym(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def outcome(kind: str, value: str, window: str, basis: str = "observed") -> dict[str, str]:
    return {"kind": kind, "value": value, "window": window, "basis": basis}


def later_harm(value: str) -> dict[str, str]:
    return outcome("later_harm_reported", value, "30d", "user_reported")


def record(conversation: str, user: str, started_at: str, **parts: Any) -> dict[str, Any]:
    return {
        "domain": "suicide_self_harm",
        "record_id": pseudonym(f"conversation:{conversation}")[:32],
        "record_status": "new",
        "user_pseudonym": pseudonym(user),
        "started_at": started_at,
        "selection_stratum": "flagged-main",
        "event_class": "no_harm_known",
        "origin": "production",
        "sharing_basis": "scientific_research",
        "deployment": {
            "surface": "general_assistant", "model_family": "kestrel", "model_version": "k-3.1", "safety_config": "cfg-2",
            "experiment": None,
        },
        "evasion": {"tactics": [], "bypassed": "unknown"},
        "interventions": [],
        "failure_modes": [],
        "human_review": "none",
    } | parts  # fmt: skip


def risk(**parts: Any) -> dict[str, Any]:
    return {
        "ideation": "none", "behavior": "none", "behavior_recency": "not_applicable", "nssi": "none", "imminence": "unknown",
        "speech_form": [], "subject": "unclear", "first_turn": None, "peak_turn": None, "label_source": "classifier",
        "confidence": "unknown",
    } | parts  # fmt: skip


def persona(age_band: str, age_source: str, language: str, region: str) -> dict[str, str]:
    return {"age_band": age_band, "age_source": age_source, "language": language, "region": region}


def turns(*texts: str) -> list[dict[str, Any]]:
    return [{"index": n, "role": "user" if n % 2 else "assistant", "text": text} for n, text in enumerate(texts, start=1)]


def deployment(surface: str) -> dict[str, Any]:
    return {**record("", "", "")["deployment"], "surface": surface}


EXPECTED = [
    record(
        "c1", "101", "2026-07-05T10:00:05.000000Z",
        event_class="harm_reported",
        person=persona("25_44", "declared", "en", "GB"),
        risk=risk(ideation="active_plan_intent", imminence="imminent", first_turn=3, peak_turn=5),
        n_turns=7,
        turns=turns("a", "b", "c", "d", "e", "f", ""),
        interventions=[
            {
                "turn": 4, "type": "supportive_continuation", "layer": "model", "ideation_at": "wish_to_be_dead",
                "imminence_at": "unknown",
                "outcomes": [later_harm("unknown"), outcome("user_reply", "engaged", "next_turn")],
            },
            {
                "turn": 6, "type": "crisis_resource_referral", "layer": "product_ui", "ideation_at": "active_plan_intent",
                "imminence_at": "imminent",
                "outcomes": [
                    later_harm("unknown"), outcome("resource_opened", "yes", "24h"), outcome("user_reply", "engaged", "next_turn")
                ],
            },
        ],
    ),
    record(
        "c2", "102", "2026-07-01T00:00:00.000000Z",
        selection_stratum="comparison",
        person=persona("unknown", "unknown", "de", "DE"),
        risk=risk(), n_turns=2, turns=turns("g", "h"),
    ),
    record(
        "c3", "103", "2026-07-31T23:59:30.000000Z",
        deployment=deployment("companion"),
        person=persona("13_15", "estimated", "zh", "TW"),
        risk=risk(
            ideation="present_level_unknown", nssi="present_timing_unknown", imminence="not_imminent", first_turn=1, peak_turn=1
        ),
        n_turns=2, turns=turns("i", "j"),
        interventions=[
            {
                "turn": 1, "type": "no_intervention", "layer": "model", "ideation_at": "present_level_unknown",
                "imminence_at": "not_imminent",
                "outcomes": [later_harm("yes"), outcome("user_reply", "silent", "next_turn")],
            }
        ],
    ),
    record(
        "c4", "104", "2026-07-30T09:00:00.000000Z",
        person=persona("under_13", "verified", "en", "US"),
        risk=risk(ideation="active_nonspecific", first_turn=1, peak_turn=1), n_turns=3, turns=turns("", "", ""),
        interventions=[
            {
                "turn": 2, "type": "crisis_resource_referral", "layer": "product_ui", "ideation_at": "active_nonspecific",
                "imminence_at": "unknown",
                "outcomes": [
                    later_harm("pending"), outcome("resource_opened", "no", "24h"), outcome("user_reply", "rejected", "next_turn")
                ],
            }
        ],
    ),
    record(
        "c5", "101", "2026-07-20T12:00:00.250000Z",
        deployment=deployment("voice"),
        person=persona("65_plus", "declared", "unknown", "unknown"),
        risk=risk(
            behavior="preparatory", behavior_recency="unknown", first_turn=1, peak_turn=1,
            label_source="classifier_human_confirmed",
        ),
        n_turns=2, turns=turns(ODD_TEXT, "n"),
        interventions=[
            {
                "turn": 2, "type": "content_refusal", "layer": "policy", "ideation_at": "none", "imminence_at": "unknown",
                "outcomes": [later_harm("pending"), outcome("user_reply", "silent", "next_turn")],
            }
        ],
        human_review="moderator",
    ),
]  # fmt: skip

MODEL = {"family": "Kestrel", "version": "k-3.1", "safety": "cfg 2"}


def as_postgres(facts: Facts, folder: Path) -> None:
    """CSV as `\\copy … csv header` writes it; timestamps in the session's own zone, with their offset."""
    west = timezone(timedelta(hours=-4))

    def moment(at: datetime) -> str:
        return at.astimezone(west).isoformat(" ").removesuffix(":00")

    def write(name: str, columns: str, rows: Iterable[Iterable[Any]]) -> None:
        with (folder / name).open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns.split())
            writer.writerows(["" if cell is None else cell for cell in row] for row in rows)

    def flags(c: dict[str, Any]) -> str:
        return "{" + ",".join(name for name in ("opted_out", "legal_hold", "user_reported") if c[name]) + "}"

    write(
        "chat_conversations.csv", "id account_id app model profile locale country sampled_as flags reviewed_by",
        (
            (
                c["conversation"], c["user"], c["app"], json.dumps(MODEL),
                json.dumps({"age": c["age"], "age_source": c["age_source"]}), c["locale"], c["country"], c["stratum"], flags(c),
                c["reviewed_by"],
            )
            for c in facts["conversations"]
        ),
    )  # fmt: skip
    author = {"user": "member", "assistant": "bot", "system": "system"}
    write(
        "chat_messages.csv", "id conversation_id created_at author body_redacted",
        ((m["id"], m["conversation"], moment(m["at"]), author[m["author"]], m["text"]) for m in facts["messages"]),
    )  # fmt: skip
    write(
        "risk_hits.csv", "id conversation_id message_id created_at label details",
        (
            (h["id"], h["conversation"], h["message"], moment(h["at"]), h["what"], json.dumps({"imminent": h["imminent"]}))
            for h in facts["hits"]
        ),
    )  # fmt: skip
    write(
        "safety_actions.csv", "id conversation_id message_id created_at action",
        ((a["id"], a["conversation"], a["message"], moment(a["at"]), a["what"]) for a in facts["actions"]),
    )  # fmt: skip
    write(
        "safety_outcomes.csv", "id conversation_id action_id created_at event",
        ((o["id"], o["conversation"], o["action"], moment(o["at"]), o["what"]) for o in facts["outcomes"]),
    )  # fmt: skip


def as_snowflake(facts: Facts, folder: Path) -> None:
    """Parquet with upper-case names, VARIANT as JSON text, TIMESTAMP_NTZ without a zone (UTC)."""
    text, flag, ntz = pa.string(), pa.bool_(), pa.timestamp("us")

    def write(name: str, columns: dict[str, pa.DataType], rows: Iterable[Iterable[Any]]) -> None:
        listed = [dict(zip(columns, row, strict=True)) for row in rows]
        pq.write_table(pa.Table.from_pylist(listed, schema=pa.schema(list(columns.items()))), folder / f"{name}.parquet")

    def moment(at: datetime) -> datetime:
        return at.replace(tzinfo=None)

    def attributes(c: dict[str, Any]) -> str:
        user = {name: c[name] for name in ("age", "age_source", "locale", "country") if c[name] is not None}
        return json.dumps({"model": MODEL, "user": user, "user_reported": c["user_reported"]})

    write(
        "CONVERSATIONS",
        {
            "CONVERSATION_ID": text, "USER_ID": pa.decimal128(38, 0), "APP": text, "ATTRIBUTES": text, "SAMPLED_AS": text,
            "REVIEWED_BY": text, "OPTED_OUT": flag, "LEGAL_HOLD": flag,
        },
        (
            (
                c["conversation"], int(c["user"]), c["app"], attributes(c), c["stratum"], c["reviewed_by"],
                c["opted_out"] or None, c["legal_hold"],
            )
            for c in facts["conversations"]
        ),
    )  # fmt: skip
    write(
        "MESSAGES", {"CONVERSATION_ID": text, "MESSAGE_ID": text, "SENT_AT": ntz, "ROLE": text, "CONTENT_REDACTED": text},
        ((m["conversation"], m["id"], moment(m["at"]), m["author"].upper(), m["text"]) for m in facts["messages"]),
    )  # fmt: skip
    write(
        "CLASSIFIER_HITS",
        {"HIT_ID": text, "CONVERSATION_ID": text, "MESSAGE_ID": text, "DETECTED_AT": ntz, "LABEL": text, "DETAILS": text},
        (
            (h["id"], h["conversation"], h["message"], moment(h["at"]), h["what"].upper(), json.dumps({"imminent": h["imminent"]}))
            for h in facts["hits"]
        ),
    )  # fmt: skip
    events = [(a, "ACTION", {"message_id": a["message"]}) for a in facts["actions"]]
    events += [(o, "OUTCOME", {"action_id": o["action"]}) for o in facts["outcomes"]]
    write(
        "SAFETY_EVENTS",
        {"EVENT_ID": text, "CONVERSATION_ID": text, "KIND": text, "NAME": text, "OCCURRED_AT": ntz, "PAYLOAD": text},
        (
            (e["id"], e["conversation"], kind, e["what"].upper(), moment(e["at"]), json.dumps(payload))
            for e, kind, payload in events
        ),
    )  # fmt: skip


def as_bigquery(facts: Facts, folder: Path) -> None:
    """Newline-delimited JSON: nested and repeated, nulls left out, INT64 as text, TIMESTAMP as `… UTC`; in several files."""
    author = {"user": "human", "assistant": "model", "system": "system"}

    def moment(at: datetime) -> str:
        return at.replace(tzinfo=None).isoformat(" ") + " UTC"

    def without_null(row: dict[str, Any]) -> dict[str, Any]:
        plain = {k: without_null(v) if isinstance(v, dict) else v for k, v in row.items()}
        return {k: v for k, v in plain.items() if v is not None}

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        for part in range(2):
            text = "".join(json.dumps(without_null(row)) + "\n" for row in rows[part::2])
            (folder / f"{name}-{part:012}.json").write_text(text)

    def messages(c: dict[str, Any]) -> list[dict[str, Any]]:
        mine = [m for m in facts["messages"][::-1] if m["conversation"] == c["conversation"]]
        rows = ((m["id"], moment(m["at"]), author[m["author"]], m["text"]) for m in mine)
        return [without_null({"message_id": i, "sent_at": at, "author": who, "text_redacted": text}) for i, at, who, text in rows]

    write(
        "conversations",
        [
            {
                "conversation_id": c["conversation"],
                "user": {
                    "id": c["user"], "age": None if c["age"] is None else str(c["age"]), "age_source": c["age_source"],
                    "locale": c["locale"], "country": c["country"], "opted_out": c["opted_out"] or None,
                },
                "app": c["app"],
                "model": MODEL,
                "sampled_as": c["stratum"],
                "labels": [name for name in ("legal_hold", "user_reported") if c[name]] or None,
                "reviewed_by": c["reviewed_by"],
                "messages": messages(c),
            }
            for c in facts["conversations"]
        ],
    )  # fmt: skip
    write(
        "classifier_hits",
        [
            {
                "hit_id": h["id"], "conversation_id": h["conversation"], "message_id": h["message"],
                "detected_at": moment(h["at"]), "label": h["what"], "imminent": h["imminent"],
            }
            for h in facts["hits"]
        ],
    )  # fmt: skip

    def outcomes(fits: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        rows = [o for o in facts["outcomes"] if fits(o)]
        return [{"outcome_id": o["id"], "occurred_at": moment(o["at"]), "event": o["what"]} for o in rows]

    acted = [
        {
            "event_id": a["id"], "conversation_id": a["conversation"], "message_id": a["message"], "occurred_at": moment(a["at"]),
            "action": a["what"], "outcomes": outcomes(lambda o, a=a: o["action"] == a["id"]),  # type: ignore[misc]
        }
        for a in facts["actions"]
    ]  # fmt: skip
    told = [
        {
            "event_id": f"r{o['id']}", "conversation_id": o["conversation"], "occurred_at": moment(o["at"]),
            "outcomes": outcomes(lambda other, o=o: other is o),  # type: ignore[misc]
        }
        for o in facts["outcomes"]
        if o["action"] is None
    ]  # fmt: skip
    write("safety_events", [*acted, *told])


SHAPES: dict[str, Callable[[Facts, Path], None]] = {
    "postgres": as_postgres,
    "snowflake": as_snowflake,
    "bigquery": as_bigquery,
}
