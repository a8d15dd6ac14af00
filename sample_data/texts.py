"""Which records carry text, and whose words these are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sample_data.conversations import Conversation, FileConversation, from_file, from_templates, read_conversations
from sample_data.draws import Bools, stream, text_stream
from sample_data.generate import SimulatedQuarter
from sample_data.parameters import SimulationParameters
from sample_data.phrases import TEXT_LANGUAGES
from sample_data.planted_terms import QuarterTerms, with_terms
from sample_data.population import codes
from sample_data.records import Record


@dataclass(frozen=True)
class QuarterTexts:
    """The texts of one quarter's records, each made when it is asked for."""

    parameters: SimulationParameters
    simulated: SimulatedQuarter
    from_file: Mapping[int, FileConversation]
    from_templates: Set[int]
    terms: QuarterTerms

    def __call__(self, index: int, record: Record) -> Conversation | None:
        """The text of a record by its index; None where it carries none."""
        if index not in self.from_file and index not in self.from_templates:
            return None
        p, record_id, sayings = self.parameters, self.simulated.columns.records.ids[index], self.terms.of_record.get(index, ())
        rng, language = text_stream(p.seed, "text", record_id), record["person"]["language"]
        if index in self.from_file:
            reserved = sum(saying.room for saying in sayings)
            plain = from_file(p, rng, self.from_file[index], record["n_turns"], reserved)
        else:
            plain = from_templates(p, rng, language, record["person"]["region"], record["n_turns"], record["interventions"])
        return with_terms(plain, text_stream(p.seed, "terms", record_id), language, sayings) if sayings else plain

    def all(self) -> Iterator[tuple[str, str, Conversation]]:
        """Company, record id (as first sent) and text of every record that carries text."""
        builder = self.simulated.builder
        for index in sorted({*self.from_file, *self.from_templates}):
            record = builder.new(index)
            conversation = self(index, record)
            if conversation is not None:
                yield builder.company_of(index), record["record_id"], conversation


class TextSource:
    """Text for the records of a simulation. A record's text depends on the seed and its own id alone, wherever it is sent."""

    def __init__(self, parameters: SimulationParameters, conversations: Path | None) -> None:
        self._p = parameters
        self._file = read_conversations(conversations) if conversations is not None else ()

    def of(self, simulated: SimulatedQuarter) -> "QuarterTexts":
        """The texts of a quarter."""
        chosen = self._from_file(simulated) if self._file else {}
        templates = self._with_templates(simulated) if not self._file else set()
        n_turns = simulated.columns.records.n_turns
        speaking = {index for index, given in chosen.items() if given.user_speaks(int(n_turns[index]))} | templates
        return QuarterTexts(self._p, simulated, chosen, templates, QuarterTerms(simulated.columns, speaking))

    def _may_carry_text(self, simulated: SimulatedQuarter) -> Bools:
        users, records = simulated.columns.users, simulated.columns.records
        return np.asarray(users.age[records.user] != codes("age_band").index("under_13"))

    def _with_templates(self, simulated: SimulatedQuarter) -> set[int]:
        if self._p.text_quarters and str(simulated.quarter) not in self._p.text_quarters:
            return set()
        users, records = simulated.columns.users, simulated.columns.records
        written = np.isin(users.language[records.user], [i for i, lang in enumerate(users.languages) if lang in TEXT_LANGUAGES])
        drawn = stream(self._p.seed, simulated.quarter, "with text").random(len(records.user)) < self._p.text_share
        return set(np.flatnonzero(drawn & written & self._may_carry_text(simulated)).tolist())

    def _from_file(self, simulated: SimulatedQuarter) -> dict[int, FileConversation]:
        """Spreads the file's conversations over the quarters; each goes to a record that is long enough, if there is one."""
        users, records = simulated.columns.users, simulated.columns.records
        quarters = self._p.quarter_list
        first, step = quarters.index(simulated.quarter), len(quarters)
        wanted = [c for _ in range(self._p.conversation_uses) for c in self._file][first::step]
        rng = stream(self._p.seed, simulated.quarter, "records for a file")
        free = rng.permutation(np.flatnonzero(self._may_carry_text(simulated))).tolist()
        by_language: defaultdict[str, list[int]] = defaultdict(list)
        for index in free:
            by_language[users.languages[int(users.language[records.user[index]])]].append(index)
        chosen: dict[int, FileConversation] = {}
        for conversation in wanted:
            pool = by_language.get(conversation.language) or max(by_language.values(), key=len)
            if not pool:
                break
            fitting = (i for i, index in enumerate(pool) if records.n_turns[index] >= len(conversation.turns))
            chosen[pool.pop(next(fitting, 0))] = conversation
        return chosen
