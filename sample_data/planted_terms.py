"""Which users write a planted term, and the sentences in which they do."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sample_data.coined import coined
from sample_data.conversations import Conversation, Span
from sample_data.draws import Bools, Ints, stream
from sample_data.emerging_plants import TermPlant
from sample_data.parameters import SimulationParameters
from sample_data.phrases import TERM_ANSWERS, TERM_SENTENCES
from sample_data.population import codes
from sample_data.records import QuarterColumns

TERM = "planted_term"
KNOWN_MINORS = ("under_13", "13_15", "16_17")


@dataclass(frozen=True)
class Saying:
    """One term that a record's user writes."""

    text: str
    plant: TermPlant

    @property
    def room(self) -> int:
        """Characters that its sentences take in a turn at most."""
        return max(len(s) + len(self.text) for lines in TERM_SENTENCES.values() for s in lines) * self.plant.repeats


@dataclass(frozen=True)
class QuarterTerms:
    """The planted terms of one quarter: `of_record` holds what each record's user writes in it."""

    columns: QuarterColumns
    with_text: Set[int]

    @cached_property
    def _minors(self) -> Bools:
        return np.isin(self.columns.users.age, [codes("age_band").index(band) for band in KNOWN_MINORS])

    @cached_property
    def writers(self) -> tuple[Ints, ...]:
        """For each planted term the records in which it stands, one a user; each of them counts in the end."""
        c, p = self.columns, self.columns.parameters
        counting = np.array(sorted(i for i in self.with_text if not c.changes.removed[i]), dtype=np.int64)
        users, at = np.unique(c.records.user[counting], return_index=True)
        first = counting[at]
        found = []
        for place, plant in enumerate(p.terms):
            drawn = stream(p.seed, c.quarter, "writers", place).random(len(c.users.company))[users]
            share = plant.share_in(c.quarter) * p.companies_of(plant)[c.users.company[users]]
            if plant.writers:  # adults before minors, whose text is not searched
                order = np.argsort(np.where(share > 0, drawn + self._minors[users], np.inf))
                chosen = order[: min(plant.writers, int((share > 0).sum()))]
            else:
                chosen = np.flatnonzero(drawn < share)
            found.append(np.sort(first[chosen]))
        return tuple(found)

    @cached_property
    def of_record(self) -> Mapping[int, Sequence[Saying]]:
        """What is written in each record that holds a planted term."""
        sayings: defaultdict[int, list[Saying]] = defaultdict(list)
        for plant, text, records in zip(
            self.columns.parameters.terms, term_texts(self.columns.parameters), self.writers, strict=True
        ):
            for index in records.tolist():
                sayings[index].append(Saying(text, plant))
        return sayings

    def counts(self) -> Iterator[dict[str, dict[str, int]]]:
        """For each planted term: company → users who write it, and how many of them are known minors."""
        c = self.columns
        for records in self.writers:
            user = c.records.user[records]
            found = {}
            for k, company in enumerate(c.parameters.company_ids):
                mine = user[c.users.company[user] == k]
                if len(mine):
                    found[company] = {"users": len(mine), "known_minors": int(self._minors[mine].sum())}
            yield found


def term_texts(p: SimulationParameters) -> tuple[str, ...]:
    """The planted terms, in the order of their plants."""
    return coined(p.seed, [plant.kind for plant in p.terms])


def with_terms(conversation: Conversation, rng: random.Random, language: str, sayings: Sequence[Saying]) -> Conversation:
    """The conversation with sentences that hold the terms, at the end of turns of the user (and of the answer that follows)."""
    turns, spans = [dict(turn) for turn in conversation.turns], []
    own = [at for at, turn in enumerate(turns) if turn["role"] == "user"]
    for saying in sayings:
        lines = TERM_SENTENCES.get(language, TERM_SENTENCES["en"])
        for _ in range(saying.plant.repeats if own else 0):
            at = own[int(rng.random() * len(own))]
            spans.append(_append(turns[at], lines[int(rng.random() * len(lines))], saying.text))
        if saying.plant.assistant and own:
            answer = next((turn for turn in turns[at + 1 :] if turn["role"] == "assistant"), None)
            if answer is not None:
                spans.append(_append(answer, TERM_ANSWERS.get(language, TERM_ANSWERS["en"]), saying.text))
    return replace(conversation, turns=tuple(turns), terms=tuple(spans))


def _append(turn: dict[str, Any], sentence: str, term: str) -> Span:
    text = f"{turn['text']} " if turn["text"] else ""
    start = len(text) + sentence.index("{}")
    turn["text"] = text + sentence.replace("{}", term)
    return Span(turn["index"], start, start + len(term), TERM, term)
