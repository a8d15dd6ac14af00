"""Private values in sentences of the languages that the scrub reads: for tests and for the benchmark only.

Names and towns come from Faker's locales, the sentences were written for this. Nothing here is in, or imported by, `anonymize/`.
"""

import random
from dataclasses import dataclass

LOCALES = {
    "en": ("en_GB", "en_US"), "fr": ("fr_FR", "fr_BE"), "es": ("es_ES", "es_MX"), "de": ("de_DE", "de_AT"), "pt": ("pt_PT", "pt_BR"),
    "it": ("it_IT",),
}  # fmt: skip
LANGUAGES = tuple(LOCALES)

# Language -> kind -> sentences.
SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "person": ("Yesterday {} came by and we talked.", "My name is {}.", "I have not heard from {} since spring.", "{} never answers me.",
                   "It was {} who drove me home."),
        "town": ("I grew up in {}.", "We moved to {} last year.", "The train to {} was late."),
        "email": ("Write to {} please.",), "phone": ("My number is {}.", "You reach me on {}."),
        "date": ("I was born on {}.", "It happened on {}."),
    },
    "fr": {
        "person": ("Hier {} est venue et nous avons parlé.", "Je m'appelle {}.", "Je n'ai pas de nouvelles de {} depuis le printemps.",
                   "{} ne me répond jamais.", "C'est {} qui m'a ramené."),
        "town": ("J'ai grandi à {}.", "Nous avons déménagé à {} l'an dernier.", "Le train pour {} avait du retard."),
        "email": ("Écrivez à {} s'il vous plaît.",), "phone": ("Mon numéro est le {}.", "On me joint au {}."),
        "date": ("Je suis né le {}.", "C'est arrivé le {}."),
    },
    "es": {
        "person": ("Ayer vino {} y hablamos.", "Me llamo {}.", "No sé nada de {} desde la primavera.", "{} nunca me contesta.",
                   "Fue {} quien me llevó a casa."),
        "town": ("Crecí en {}.", "Nos mudamos a {} el año pasado.", "El tren a {} llegó tarde."),
        "email": ("Escriba a {} por favor.",), "phone": ("Mi número es {}.", "Me encuentran en el {}."),
        "date": ("Nací el {}.", "Ocurrió el {}."),
    },
    "de": {
        "person": ("Gestern kam {} vorbei und wir haben geredet.", "Ich heiße {}.", "Ich habe seit dem Frühling nichts von {} gehört.",
                   "{} antwortet mir nie.", "Es war {}, die mich nach Hause fuhr."),
        "town": ("Ich bin in {} aufgewachsen.", "Wir sind letztes Jahr nach {} gezogen.", "Der Zug nach {} war verspätet."),
        "email": ("Bitte an {} schreiben.",), "phone": ("Meine Nummer ist {}.", "Man erreicht mich unter {}."),
        "date": ("Ich bin am {} geboren.", "Es geschah am {}."),
    },
    "pt": {
        "person": ("Ontem {} veio cá e falámos.", "Chamo-me {}.", "Não sei nada de {} desde a primavera.", "{} nunca me responde.",
                   "Foi {} quem me levou a casa."),
        "town": ("Cresci em {}.", "Mudámo-nos para {} no ano passado.", "O comboio para {} chegou tarde."),
        "email": ("Escreva para {} por favor.",), "phone": ("O meu número é {}.", "Encontram-me no {}."),
        "date": ("Nasci a {}.", "Aconteceu a {}."),
    },
    "it": {
        "person": ("Ieri {} è passata e abbiamo parlato.", "Mi chiamo {}.", "Non ho notizie di {} dalla primavera.",
                   "{} non mi risponde mai.", "È stata {} a portarmi a casa."),
        "town": ("Sono cresciuto a {}.", "Ci siamo trasferiti a {} l'anno scorso.", "Il treno per {} era in ritardo."),
        "email": ("Scrivete a {} per favore.",), "phone": ("Il mio numero è {}.", "Mi trovate al {}."),
        "date": ("Sono nato il {}.", "È successo il {}."),
    },
}  # fmt: skip

# Nothing private: what is masked here is masked in vain.
PLAIN: dict[str, tuple[str, ...]] = {
    "en": ("I have not slept well for weeks and everything feels heavy.", "At work nobody notices how tired I am.",
           "Sometimes I think that it would be easier if I did not have to wake up.", "Thank you for listening, it does help a little."),
    "fr": ("Je dors mal depuis des semaines et tout me semble lourd.", "Au travail personne ne voit à quel point je suis fatigué.",
           "Parfois je me dis que ce serait plus simple de ne pas me réveiller.", "Merci de m'écouter, cela m'aide un peu."),
    "es": ("Llevo semanas durmiendo mal y todo me pesa.", "En el trabajo nadie nota lo cansada que estoy.",
           "A veces pienso que sería más fácil no tener que despertar.", "Gracias por escucharme, me ayuda un poco."),
    "de": ("Ich schlafe seit Wochen schlecht und alles fühlt sich schwer an.", "Bei der Arbeit merkt niemand, wie müde ich bin.",
           "Manchmal denke ich, es wäre leichter, nicht mehr aufwachen zu müssen.", "Danke fürs Zuhören, das hilft ein wenig."),
    "pt": ("Durmo mal há semanas e tudo me pesa.", "No trabalho ninguém repara como estou cansada.",
           "Às vezes penso que seria mais fácil não ter de acordar.", "Obrigada por me ouvir, ajuda um pouco."),
    "it": ("Dormo male da settimane e tutto mi sembra pesante.", "Al lavoro nessuno si accorge di quanto sono stanco.",
           "A volte penso che sarebbe più facile non dovermi svegliare.", "Grazie di ascoltarmi, mi aiuta un po'."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a language, and the value in it that must not survive."""

    language: str
    kind: str
    text: str
    value: str


def sentences(count: int, seed: int = 7) -> list[Sentence]:
    """Make `count` sentences for each language and kind."""
    from faker import Faker

    chance = random.Random(seed)
    made: list[Sentence] = []
    for language, locales in LOCALES.items():
        fakers = [Faker(locale, use_weighting=False) for locale in locales]
        for number, faker in enumerate(fakers):
            faker.seed_instance(seed + number)
        draw = {
            "person": lambda f: f"{f.first_name()} {f.last_name()}" if chance.random() < 0.5 else f.first_name(),
            "town": lambda f: f.city(),
            "email": lambda f: f.email(),
            "phone": lambda f: f.phone_number(),
            "date": lambda f: f.date_of_birth(minimum_age=18, maximum_age=80).strftime(
                chance.choice(("%d/%m/%Y", "%d.%m.%Y", "%Y-%m-%d"))
            ),
        }
        for kind, templates in SENTENCES[language].items():
            for _ in range(count):
                value = draw[kind](chance.choice(fakers))
                made.append(Sentence(language, kind, chance.choice(templates).format(value), value))
    return made
