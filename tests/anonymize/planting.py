"""Private values planted in conversations, and inputs that hide them: for tests and for the benchmark only.

Names come from Faker's locales, schools and handles from the lists below. Nothing here is in, or imported by, `anonymize/`.
"""

import random
from dataclasses import dataclass

LOCALES = (
    "en_US", "en_GB", "en_IN", "en_NG", "es_MX", "fr_FR", "de_DE", "it_IT", "pt_BR", "pl_PL", "tr_TR", "sv_SE", "nl_NL", "yo_NG",
    "vi_VN", "id_ID", "ro_RO", "cs_CZ",
)  # fmt: skip
SCHOOL_KINDS = ("High School", "Academy", "Middle School", "Grammar School", "College", "Primary School")
PLATFORMS = ("discord", "instagram", "snap", "reddit", "tiktok")

OPENINGS = (
    "hi, my name is {full} and i don't know who else to talk to",
    "Hey. I'm {first}. It's been a bad week.",
    "im {first_lower} and i feel like nobody would notice if i was gone",
    "this is {first} again, we talked last week",
    "Hello, {full} here. I could not sleep again.",
    "you can call me {first_lower}",
)
MIDDLES = (
    "my sister {kin} found my diary and told everyone",
    "my best friend {kin_lower} stopped talking to me",
    "I told {kin} about it and she just laughed",
    "{kin} said i am too much for people",
    "i had a fight with my boyfriend {kin_lower} last night",
    "Ms {kin_surname} is the only teacher who ever asked",
    "Dr. {kin_surname} changed my medication in spring",
)
PLACES = (
    "i go to {school} and everyone there hates me",
    "everyone at {school} has seen the pictures",
    "{kin} works at {school} so she hears everything",
    "my {platform} is {handle} if you want to see what they wrote",
    "they found my account {handle} on {platform}",
)
REPLIES = (
    "Thank you for telling me, {first}. That took courage.",
    "I hear you, {first}. It sounds like things with {kin} have been very painful.",
    "{first}, are you safe right now? You can call or text 988 at any time.",
    "I'm here with you, {first}.",
)
ENDINGS = (
    "i just want {kin_lower} to understand",
    "tell {kin} i am sorry",
    "i dont want {kin_lower} to be the one who finds out\n- {first_lower}",
    "ok. thank you. {first}",
    "{kin_lower} is calling me now i have to go",
)


@dataclass(frozen=True, slots=True)
class Planted:
    """One conversation and the mentions that must not survive in it."""

    turns: tuple[str, ...]
    mentions: tuple[str, ...]


def planted_conversations(count: int, seed: int = 7) -> list[Planted]:
    """Make conversations with names, schools and handles from Faker's locales."""
    from faker import Faker

    chance = random.Random(seed)
    fakers = [Faker(locale, use_weighting=False) for locale in LOCALES]
    for number, faker in enumerate(fakers):
        faker.seed_instance(seed + number)
    made: list[Planted] = []
    while len(made) < count:
        faker = chance.choice(fakers)
        first, surname = faker.first_name().split()[0], faker.last_name().split()[-1]
        kin, kin_surname = chance.choice(fakers).first_name().split()[0], chance.choice(fakers).last_name().split()[-1]
        words = (first, surname, kin, kin_surname)
        if not all(word.isalpha() and len(word) > 2 and word.upper() != word.lower() for word in words):
            continue
        school_name = chance.choice(fakers).last_name().split()[-1]
        handle = (
            f"{chance.choice(fakers).first_name().lower().split()[0]}{chance.choice(('_', '.', ''))}{chance.randint(10, 9999)}"
        )
        values = {
            "full": f"{first} {surname}", "first": first, "first_lower": first.lower(), "kin": kin, "kin_lower": kin.lower(),
            "kin_surname": kin_surname, "school": f"{school_name} {chance.choice(SCHOOL_KINDS)}", "handle": handle,
            "platform": chance.choice(PLATFORMS),
        }  # fmt: skip
        templates = [chance.choice(OPENINGS), chance.choice(REPLIES), chance.choice(MIDDLES), chance.choice(PLACES),
                     chance.choice(REPLIES), chance.choice(ENDINGS)]  # fmt: skip
        turns = tuple(template.format(**values) for template in templates)
        text = " ".join(turns).lower()
        mentions = [word for word in (first, surname, kin, kin_surname, school_name, handle) if word.lower() in text]
        made.append(Planted(turns, tuple(mentions)))
    return made


def leaks(planted: Planted, scrubbed: tuple[str, ...]) -> list[str]:
    """Give the mentions that are still a word of the scrubbed text."""
    import re

    text = "\n".join(scrubbed).lower()
    return [m for m in planted.mentions if re.search(rf"(?<![^\W_]){re.escape(m.lower())}(?![^\W_])", text)]


_LOOKALIKE = str.maketrans("aeopcxyi", "аеорсхуі")
_FULL_WIDTH = {ord(c): ord(c) + 0xFEE0 for c in "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ@."}
_BOLD = {ord("a") + n: 0x1D41A + n for n in range(26)} | {ord("A") + n: 0x1D400 + n for n in range(26)}
_DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

NAMES = ("Tamsyn Okwuosa", "Ieuan Prydderch", "Xochitl Barragan", "Zbigniew Koscielny", "Anneliese Vogt")
PHONES = ("2025550147", "7911123456", "6135550122", "4155550199")
EMAILS = ("quill.lark@postbox.org", "m_okwuosa@mailhaven.net", "tin.soldier88@inbox.co.uk")
HANDLES = ("velvet_grief88", "moth.hour", "xX_ashfall_Xx")


def adversarial_inputs() -> list[tuple[str, str, str]]:
    """Give `(class, text, value)`: over a hundred ways to get a value past a plain scrub."""
    inputs: list[tuple[str, str, str]] = []

    def add(kind: str, carrier: str, value: str) -> None:
        inputs.append((kind, carrier.format(value), value))

    for name in NAMES:
        first = name.split()[0]
        add("lower case", "my friend {} told on me", name.lower())
        add("upper case", "MY NAME IS {} OK", name.upper())
        add("zero width", "my name is {}", "\u200b".join(name))
        add("soft hyphen", "i told {} everything", "\u00ad".join(name))
        add("look-alikes", "my name is {}", name.translate(_LOOKALIKE))
        add("full width", "my name is {}", name.translate(_FULL_WIDTH))
        add("bold letters", "my name is {}", name.translate(_BOLD))
        add("combining marks", "my name is {}", "".join(c + "\u0336" for c in name))
        add("spaced letters", "his name is {}", " ".join(first))
        add("dotted letters", "her name is {}", ".".join(first.upper()))
        add("possessive", "{}'s mother called the school", first)
        add("no cue, lower case", "and then {} just walked out on me", first.lower())
        add("entities", "my name is {}", "".join(f"&#{ord(c)};" for c in first))
        add("last name first", "name: {}", ", ".join(reversed(name.split())))
        add("signed", "i am sorry for everything\n\n- {}", first.lower())
    for phone in PHONES:
        add("spaced digits", "call me {}", " ".join(phone))
        add("spelled digits", "my number is {}", " ".join(_DIGIT_WORDS[int(d)] for d in phone))
        add("full-width digits", "text me at {}", phone.translate(_FULL_WIDTH))
        add("dots", "cell {}", f"{phone[:3]}.{phone[3:6]}.{phone[6:]}")
        add("slashes", "tel {}", f"{phone[:3]}/{phone[3:6]}/{phone[6:]}")
        add("zero width digits", "my cell is {}", "\u200d".join(phone))
        add("arabic digits", "reach me on {}", "".join(chr(0x0660 + int(d)) for d in phone))
    for email in EMAILS:
        local, _, host = email.partition("@")
        add("[at]", "write me: {}", f"{local} [at] {host.replace('.', ' [dot] ')}")
        add("(at)", "write me: {}", f"{local}(at){host.replace('.', '(dot)')}")
        add("at dot", "its {}", f"{local} at {host.replace('.', ' dot ')}")
        add("entity at", "mail {}", email.replace("@", "&#64;"))
        add("full-width at", "mail {}", email.replace("@", "\uff20"))
        add("spaced at", "mail {}", email.replace("@", " @ "))
        add("look-alike address", "mail {}", email.translate(_LOOKALIKE))
    for handle in HANDLES:
        add("handle at", "find me @{}", handle)
        add("handle cue", "my insta is {}", handle)
        add("handle on", "im {} on discord", handle)
    for text, value in (
        ("see hxxps://quillarchive.example/tamsyn", "quillarchive.example/tamsyn"),
        ("меня зовут Тамсин says my friend but call me later please, really", "Тамсин"),
        ("my friend 陈晓明 said no", "陈晓明"),
        ("my cousin محمد knows about it", "محمد"),
        ("card ending in 4471 was stolen", "4471"),
        ("plate is 7XKR 219 and he parks outside", "7XKR 219"),
        ("i am at 51.50735, -0.12776 right now", "51.50735, -0.12776"),
        ("my postcode is sw1a 2aa", "sw1a 2aa"),
        ("my ssn is 219 09 9999", "219 09 9999"),
        ("nhs number 943 476 5919", "943 476 5919"),
        ("i live at 4410 Larkspur Hollow Rd, apt 7", "4410 Larkspur Hollow Rd"),
        ("wallet 0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F7030069857D2E4169EE7"),
    ):
        inputs.append(("other", text, value))
    return inputs
