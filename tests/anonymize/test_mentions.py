"""Mentions are found as one pattern of all values would find them; of many names each costs no more than of few."""

import random
import re
import time

from anonymize.mentions import Mentions
from anonymize.operators import Placeholders

WORDS = (
    "Anna", "anna", "ANNA", "Karlsson", "annas", "karlsson's", "x_y12", "@kim", "kim", "hope", "İpek", "ipek", "ſam", "Sam", "ΟΔΟΣ",
    "οδοσ", "the", "12 Main Street", "St. Mary's", "_anna_", "anna-karlsson", "annabel", "ß", "Straße", "K1", "é", "É", "Zoë", "zoë’s",
)  # fmt: skip


def one_pattern(values: list[str]) -> re.Pattern[str]:
    forms = sorted(values, key=lambda form: (-len(form), form))
    whole = "|".join(map(re.escape, forms))
    return re.compile(rf"(?<![^\W_])(?:{whole})(?=(?:['’]?s)?(?![^\W_]))", re.IGNORECASE)


def test_the_same_ranges_as_one_pattern_of_all_values() -> None:
    chance, found = random.Random(5), 0
    for _ in range(3_000):
        text = " ".join(chance.choice(WORDS) + chance.choice(("", ",", ".", "’s")) for _ in range(chance.randint(1, 12)))
        values = [" ".join(chance.sample(WORDS, chance.randint(1, 2))).lower() for _ in range(chance.randint(1, 6))]
        values = [value for value in values if len(value) > 1]
        ranges = list(Mentions(values)(text)) if values else []
        assert ranges == [match.span() for match in one_pattern(values).finditer(text)] if values else not ranges
        found += len(ranges)
    assert found > 1_000


def seconds_a_name(names: int) -> float:
    values = [f"na{number:05d}ma" for number in range(names)]
    turns = [f"my friend {value} said hi" for value in values]

    def once() -> float:
        start, mentions = time.process_time(), Mentions(values)
        assert all(len(list(mentions(turn))) == 1 for turn in turns)
        return time.process_time() - start

    return min(once() for _ in range(3)) / names


def test_ten_times_the_names_cost_no_more_for_each() -> None:
    """One pattern took ten times as long for each: a conversation of 8 MiB would have held a worker for hours."""
    assert seconds_a_name(20_000) < 3 * seconds_a_name(2_000)


def seconds_a_placeholder(names: int) -> float:
    def once() -> float:
        start, numbering = time.process_time(), Placeholders()
        assert [numbering.of("PERSON", f"anna na{number:05d}ma") for number in range(names)][-1] == f"<PERSON_{names}>"
        return time.process_time() - start

    return min(once() for _ in range(3)) / names


def test_ten_times_the_placeholders_cost_no_more_for_each() -> None:
    assert seconds_a_placeholder(20_000) < 3 * seconds_a_placeholder(2_000)
