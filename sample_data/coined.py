"""Nonsense words that nobody uses and harmless phrases that nobody says, made from a seed.

The scrub masks words of English that nothing knows at all, since they may be names. So a nonsense word is a well-known harmless one
with a syllable that does not belong to it: no word list has it, and the scrub lets it stand.
"""

from collections.abc import Sequence

from sample_data.draws import text_stream

# Words for things that harm nobody and that no scrub takes for a name; put together they say nothing. With none of the
# syllables do they make a word that a list of wordfreq has: a test looks.
STEMS = (
    "accordion", "basket", "bicycle", "blanket", "bucket", "calendar", "carpet", "ceiling", "chair", "clock", "compass", "drawer",
    "envelope", "garden", "lantern", "library", "mailbox", "museum", "notebook", "parade", "piano", "postcard", "puzzle", "recipe",
    "rhythm", "spoon", "table", "wheel",
)  # fmt: skip
SYLLABLES = ("ish", "less", "ness", "able")
KINDS = ("cotton", "crayon", "linen", "marble", "orange", "paper", "pepper", "plastic", "purple", "sleepy", "wooden", "yellow")
MATTERS = ("afternoon", "geography", "holiday", "lesson", "season", "weather")


def coined(seed: int, kinds: Sequence[str]) -> tuple[str, ...]:
    """One term for each kind, `word` or `phrase`, all different: lower case, letters and spaces only.

    What comes later in the list leaves the terms before it as they were.
    """
    found: list[str] = []
    for place, kind in enumerate(kinds):
        rng = text_stream(seed, "coined", place)
        parts = (KINDS, STEMS, MATTERS) if kind == "phrase" else (STEMS, SYLLABLES)
        term = ""
        while not term or term in found:
            drawn = [options[int(rng.random() * len(options))] for options in parts]
            term = (" " if kind == "phrase" else "").join(drawn)
        found.append(term)
    return tuple(found)
