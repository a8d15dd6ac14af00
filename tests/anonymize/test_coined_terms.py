"""Terms that the simulation plants go through the scrub unharmed; words that nothing knows do not."""

from anonymize.scrub import Conversation, Scrubber
from sample_data.coined import KINDS, MATTERS, STEMS, SYLLABLES
from sample_data.phrases import TERM_ANSWERS, TERM_SENTENCES, TEXT_LANGUAGES


def test_the_scrub_lets_planted_terms_stand(scrubber: Scrubber) -> None:
    words = [stem + SYLLABLES[at % len(SYLLABLES)] for at, stem in enumerate(STEMS)]
    phrases = [f"{KINDS[at % len(KINDS)]} {stem} {MATTERS[at % len(MATTERS)]}" for at, stem in enumerate(STEMS)]
    made = []
    for language in TEXT_LANGUAGES:
        sentences = (*TERM_SENTENCES[language], TERM_ANSWERS[language])
        terms = [*words, *phrases] if language == "en" else [*words[:6], *phrases[:6]]
        made += [(language, sentences[at % len(sentences)], term) for at, term in enumerate(terms)]
    made.append(("en", "I looked up {} and found nothing.", "vairzemom"))  # what no word list is near is masked, as it should be
    done = scrubber.scrub_conversations([Conversation(language, (sentence.format(term),)) for language, sentence, term in made])
    lost = [term for (_, _, term), scrubbed in zip(made, done, strict=True) if term not in scrubbed.turns[0]]
    assert lost == ["vairzemom"]
