"""Findings: what is wrong with a submission, by stable code. A finding never holds a value."""

from dataclasses import dataclass

from schemas.errors import ExitCode


@dataclass(frozen=True)
class FindingCode:
    """One documented code: `E1xx` refuses the submission, `E2xx` quarantines a record, `W3xx` warns."""

    code: str
    title: str
    cause: str
    remedy: str


@dataclass(frozen=True, order=True)
class Finding:
    """`{code, file, row, field, hint}`: file and field are names of ours, row counts from 1, the hint is fixed text."""

    code: str
    file: str = ""
    row: int = 0
    field: str = ""
    hint: str = ""

    def as_dict(self) -> dict[str, str | int]:
        """For JSON: the same five keys, always."""
        return {"code": self.code, "file": self.file, "row": self.row, "field": self.field, "hint": self.hint}


_ALL = [
    # The whole submission is refused.
    ("E101", "manifest missing or unreadable", "There is no manifest.json, or it is not one JSON object of at most 1 MiB.", "Write manifest.json as UTF-8 JSON beside the data files: `commons prepare` does."),
    ("E102", "manifest breaks the contract", "A manifest field is missing, unknown, written twice, or not of its type or code list.", "Correct the field named in the finding; docs/contract has each field."),
    ("E103", "contract version not supported", "The major version of contract_version is not known here.", "Export again by a supported contract version."),
    ("E104", "company or agreement unknown", "The company, or this agreement of the company, is not registered.", "Use the id and agreement given when the company joined, and your own drop; or ask the convener."),
    ("E105", "signature wrong", "The key is unknown, outside its validity, or the signature does not fit the manifest.", "Sign again with a registered, valid key; change nothing after signing."),
    ("E106", "file does not match the manifest", "A listed file is missing, unlisted, or differs in size, hash or number of records.", "Write the manifest after the data files, from the files as they are sent."),
    ("E107", "file cannot be decoded", "A file cannot be decoded to its end as its format says.", "Write the file again; check that it was not cut off."),
    ("E108", "Parquet columns differ", "A Parquet file's columns or types are not those of the contract.", "Write the columns that docs/contract lists, with the same types."),
    ("E109", "attestation false", "One of the three attestations is false.", "Send only data for which all three hold."),
    ("E110", "period not understood", "The period is not a quarter, month, ISO week or day.", "Write it like 2026Q3, 2026-07, 2026-W31 or 2026-07-30."),
    ("E111", "tier not taken yet", "tier is `aggregates`, which the pool does not take yet.", "Send records, or wait for that tier."),
    ("E112", "over the limits of size or time", "The submission, a file or a cell is larger than the limits, or takes longer to read than one submission is given.", "Split the export into several submissions."),
    ("E113", "too many records quarantined", "More than the permitted share of records broke the contract, or most of the first 20,000.", "Correct the records that the other findings name, then send the whole again."),
    ("E114", "submission id used before", "Another submission with this id and other content was accepted.", "Choose a new submission_id; corrections are records of their own."),
    ("E115", "second pseudonym key in a quarter", "Another pseudonym_key_id was accepted for the same quarter: it would split users.", "Use one pseudonym key a quarter. Where it was lost, withdraw what was sent under it, then send again."),
    ("E116", "strata named twice", "Two selection entries have the same stratum, or two files the same path.", "Name each stratum and file once."),
    ("E117", "quarter no longer held", "The time for which records of this quarter may be held is over, or they were purged.", "Nothing more can be sent, corrected or withdrawn for this quarter."),
    ("E118", "over the quota", "With this submission the company would be over what its registration permits.", "Ask the convener for a larger quota, or send less."),
    ("E119", "file is not UTF-8", "The file begins as UTF-16 or UTF-32, or with zero bytes, where JSON Lines are UTF-8.", "Write the file as UTF-8 without a byte-order mark."),
    # One record is quarantined.
    ("E201", "record is not a JSON object", "The line is not valid JSON, or not an object.", "Write one JSON object a line, UTF-8."),
    ("E202", "field missing", "A required field is absent.", "Send the field; `unknown` is an honest answer."),
    ("E203", "field unknown", "The record has a field that the contract does not know.", "Remove it; spell names as in the contract."),
    ("E204", "wrong type", "The field is not of its type.", "Send the type that the contract names: true and false are no numbers, 12.0 is no count."),
    ("E205", "code unknown", "The value is not in the field's code list.", "Use a code of the list in docs/contract."),
    ("E206", "too long or empty", "A text, id or list is longer than permitted, or empty where it may not be.", "Keep within the limits of the contract."),
    ("E207", "number out of range", "A number is outside its range.", "Keep within the limits of the contract."),
    ("E208", "null not permitted", "The field is null where the contract does not say so.", "Send a value or `unknown`; where a list has nothing, send `[]`."),
    ("E209", "timestamp not UTC", "The timestamp is not RFC 3339 in UTC with at most microseconds.", "Write it like 2026-07-30T12:00:00Z."),
    ("E210", "outside the period", "started_at is outside the period of the manifest.", "Send the record in the submission of its period."),
    ("E211", "record of another quarter", "The records of one submission must belong to one quarter.", "Send one submission for each quarter."),
    ("E212", "order of turns", "first_turn, peak_turn and n_turns are not in order, or null does not fit the levels.", "Null both turns exactly where ideation, behavior and nssi are all none or unknown."),
    ("E213", "no_intervention misplaced", "Where there is risk and nothing was done, no_intervention stands alone at peak_turn; elsewhere it may not stand.", "Send it as the only intervention at peak_turn, and an empty list only where there is no risk."),
    ("E214", "outcome value of another kind", "The value does not belong to the outcome kind.", "Use a value that docs/contract lists for the kind."),
    ("E215", "turns not in the conversation", "A turn is beyond n_turns, repeated or out of order.", "Count turns from 1, in order, within n_turns."),
    ("E216", "stratum not in the manifest", "selection_stratum is not one of the manifest's.", "Declare the stratum in the manifest."),
    ("E217", "text of an under-13", "A record of an under-13 may carry no text.", "Send empty texts for under_13."),
    ("E218", "nothing of this user to supersede", "supersedes names no accepted record of the same user in that quarter.", "Name a record_id of the same user and its started_at; a user, by the pseudonym under which records were accepted."),
    ("E219", "record id used twice", "Another record of this user has the same id and other content.", "Send changes as a correction with an id of its own."),
    ("E220", "pattern not met", "The text does not have the form that the contract asks for.", "Use the form in docs/contract."),
    ("E221", "code of another domain", "The code does not belong to the record's domain.", "Use a code of the record's domain."),
    ("E222", "code listed twice", "A code, or an outcome of the same kind and window, is listed twice.", "List each once."),
    ("E223", "submission to withdraw unknown", "The submission named in a withdrawal is not an accepted one of this company.", "Name a submission_id of your own that was accepted."),
    ("E224", "origin does not fit", "The origin does not fit the registration of the company.", "A synthetic company sends origin synthetic only."),
    ("E225", "pseudonym differs in case only", "Another pseudonym of the submission is the same but for upper and lower case: one user would be two.", "Send one spelling for each user; hashes in hexadecimal are safest in lower case."),
    ("E226", "control character", "A text, id or code holds a control character (C0, C1 or DEL); only tab, line feed and carriage return may stand in a text.", "Remove control characters before export."),
    ("E227", "invisible character in an id or code", "An id or code holds a character that cannot be seen (zero width, text direction, odd space), begins or ends with a space, or is not in Unicode form NFC.", "Write ids and codes in plain visible characters."),
    ("E228", "look-alike letters in a code", "The value reads like a permitted one but is written with letters of another script or form (Cyrillic, Greek, full width, accents).", "Write codes in plain ASCII letters."),
    ("E229", "code differs in case or space only", "The value is a permitted one but for upper and lower case or white space around it.", "Write codes exactly as docs/contract lists them."),
    ("E230", "timestamp in the future", "started_at lies after the moment of the check.", "Check the clock and the time zone of the export: timestamps are UTC."),
    ("E231", "key twice in one object", "A JSON object has the same key twice, so readers would differ in what it says.", "Write each key once."),
    ("E232", "number not finite", "The line holds NaN, Infinity, or a number too large for a 64-bit float.", "Write finite numbers; where there is none, the contract says what to send."),
    ("E233", "line is not Unicode text", "The line is not UTF-8, or holds half of a surrogate pair.", "Write the file as UTF-8, and cut texts at whole characters."),
    ("E234", "nested too deep", "The line nests lists and objects deeper than any record does.", "Write the record as the contract nests it."),
    ("E235", "byte-order mark", "The line begins with a byte-order mark.", "Write the file as UTF-8 without a byte-order mark."),
    ("E236", "blank line", "The line is empty; every line is one record.", "Leave blank lines out, also at the end of the file."),
    ("E237", "number as text or text as number", "A number stands in quotes, or a text without them.", "Write numbers without quotes; texts, ids and codes in quotes."),
    # Warnings.
    ("W301", "record sent before", "The same record was sent before; it counts once, with the submission that brought it first.", "Nothing to do. Where that submission is withdrawn later, the record goes with it: send it again then."),
    ("W302", "submission sent before", "The same submission was sent before; the first receipt holds.", "Nothing to do."),
    ("W303", "quarter already measured", "The quarter has been measured: the data wait for a superseding plan.", "Nothing to do; the convener decides on a superseding release."),
    ("W304", "text not in NFC", "A text is not in Unicode form NFC: the same words may be written in two ways.", "Normalise texts to NFC before export; the record counts as it is."),
    ("W305", "invisible characters in text", "A text holds characters that change its direction or cannot be seen.", "Remove them before export unless the language needs them; the record counts as it is."),
    ("W306", "timestamps rounded", "Most records of the file begin at midnight, or in the same second.", "Export started_at to the second; depth of time is lost otherwise."),
    ("W307", "timestamps off the calendar", "A share of the file's records lies in the future or in 1970.", "Check the clock, the time zone and the unit (seconds or milliseconds) of the export."),
    ("W308", "same fault in most rows", "At least half of the file's rows have the same fault in the same field: the mapping is wrong, not the rows.", "Correct the mapping of the field named in the finding, then export again."),
    ("W309", "files of one submission differ", "A fault that most rows of this file have is absent from another file: they were written by different exports.", "Write all files of a submission by the same version of the export."),
    ("W310", "withdrawn records were repeated", "Another submission of the quarter repeated records (W301) that may have counted with one that is now withdrawn.", "Where such records are to count on, send them again in a submission of their own."),
    ("W311", "file without a record", "The file holds no rows.", "Where the period has conversations, look at the export; where it has none, nothing to do."),
    ("W312", "signature of another key", "The signature is not by the key that registration.toml, or else commons.toml, has under the manifest's key id.", "Sign with the registered key (`commons prepare`), or register the new one under an id of its own: the pool would refuse this (E105)."),
]  # fmt: skip

FINDING_CODES: dict[str, FindingCode] = {row[0]: FindingCode(*row) for row in _ALL}


def refuses(finding: Finding) -> bool:
    """Whether a finding refuses the whole submission."""
    return finding.code.startswith("E1")


def quarantines(finding: Finding) -> bool:
    """Whether a finding quarantines its record."""
    return finding.code.startswith("E2")


def exit_code(findings: list[Finding]) -> ExitCode:
    """The exit code that a list of findings amounts to."""
    if any(refuses(f) for f in findings):
        return ExitCode.SUBMISSION_REFUSED
    return ExitCode.RECORDS_QUARANTINED if any(quarantines(f) for f in findings) else ExitCode.DONE
