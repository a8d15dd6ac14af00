"""JSON Lines in, JSON Lines out: the scrub of single texts for whoever wants to look at it from outside."""

from collections.abc import Iterator
from itertools import islice

import orjson

from anonymize.scrub import Conversation, shared_scrubber
from anonymize.settings import ScrubSettings
from schemas.errors import UsageError
from schemas.storage import Place, opened, whole_file

_LINES_AT_ONCE = 256


def scrub_lines(source: Place, target: Place, settings: ScrubSettings, language: str) -> int:
    """Scrubs `{"text"}` lines into `{"text", "spans"}` lines and returns how many there were.

    Each line is a conversation of one turn; `spans` (`start`, `end`, `entity`, `score`) lie over the input text. The target is
    put in place whole. Raises UsageError where a line is no object with a `text`.
    """
    scrubber = shared_scrubber(settings)
    done = 0
    with whole_file(target) as out:
        texts = _texts(source)
        while batch := list(islice(texts, _LINES_AT_ONCE)):
            found = scrubber.find(batch, language)
            scrubbed = scrubber.scrub_conversations([Conversation(language, (text,)) for text in batch])
            for spans, conversation in zip(found, scrubbed, strict=True):
                listed = [{"start": s.start, "end": s.end, "entity": s.entity, "score": round(s.score, 4)} for s in spans]
                out.write(orjson.dumps({"text": conversation.turns[0], "spans": listed}) + b"\n")
            done += len(batch)
    return done


def _texts(source: Place) -> Iterator[str]:
    with opened(source) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = orjson.loads(line)["text"]
            except (ValueError, KeyError, TypeError):
                text = None
            if not isinstance(text, str):
                raise UsageError(f"Line {number} is no JSON object with a `text`.", 'Write one {"text": …} a line.')
            yield text
