"""Values of personal information to plant, by kind. All are invented; where a range is reserved for examples, it is used."""

import random
import unicodedata
from collections.abc import Callable, Mapping

from sample_data import names
from sample_data.phrases import HELPLINES


def _pick(rng: random.Random, options: tuple[str, ...]) -> str:
    return options[int(rng.random() * len(options))]


def _digits(rng: random.Random, n: int) -> str:
    return "".join(str(int(rng.random() * 10)) for _ in range(n))


def _number(rng: random.Random, low: int, high: int) -> int:
    return low + int(rng.random() * (high - low + 1))


def _letters(rng: random.Random, n: int, alphabet: str = "ABCDEFGHJKLMNPRSTUVWXYZ") -> str:
    return "".join(alphabet[int(rng.random() * len(alphabet))] for _ in range(n))


def _ascii(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", name) if c.isalpha() and c.isascii()).lower()


def person_name(rng: random.Random, language: str) -> str:
    """First and last name, or a first name alone."""
    first = _pick(rng, names.FIRST_NAMES)
    return f"{first} {_pick(rng, names.LAST_NAMES)}" if rng.random() < 0.6 else first


def _email(rng: random.Random, language: str) -> str:
    first, last = _ascii(_pick(rng, names.FIRST_NAMES)), _ascii(_pick(rng, names.LAST_NAMES))
    domain = _pick(rng, ("example.com", "example.org", "example.net", "mail.example.com"))
    return _pick(
        rng, (f"{first}.{last}@{domain}", f"{first[0]}{last}{_digits(rng, 2)}@{domain}", f"{first}_{_digits(rng, 4)}@{domain}")
    )


def _phone(rng: random.Random, language: str) -> str:
    # 555-01xx in North America, 7700 900xxx and 20 7946 0xxx in Britain, and 01 99 00 xx xx in France are kept for fiction.
    area, tail = _pick(rng, ("212", "312", "415", "617", "718")), _digits(rng, 2)
    if language == "fr":
        return f"01 99 00 {_digits(rng, 2)} {tail}"
    if language == "es":
        return f"+34 600 000 {_digits(rng, 1)}{tail}"
    british = (f"07700 900{_digits(rng, 1)}{tail}", f"+44 7700 900{_digits(rng, 1)}{tail}", f"020 7946 0{_digits(rng, 1)}{tail}")
    return _pick(
        rng, (f"({area}) 555-01{tail}", f"{area}-555-01{tail}", f"+1 {area} 555 01{tail}", f"{area}.555.01{tail}", *british)
    )


def _street_address(rng: random.Random, language: str) -> str:
    house = _number(rng, 2, 240)
    if language == "es":
        return f"{_pick(rng, names.STREETS_ES)} {house}"
    if language == "fr":
        return f"{house} {_pick(rng, names.STREETS_FR)}"
    street, town = _pick(rng, names.STREETS), _pick(rng, names.TOWNS)
    return _pick(rng, (f"{house} {street}", f"{house} {street}, {town}", f"Flat {_number(rng, 1, 20)}, {house} {street}"))


def _postcode(rng: random.Random, language: str) -> str:
    if language in ("es", "fr"):
        return f"{_number(rng, 1, 52):02d}{_digits(rng, 3)}"
    british = (
        f"{_letters(rng, 2, 'ABDELMNRSTW')}{_number(rng, 1, 19)} {_number(rng, 1, 9)}{_letters(rng, 2, 'ABDEFGHJLNPQRSTUWXYZ')}"
    )
    return _pick(rng, (british, _digits(rng, 5), f"{_digits(rng, 5)}-{_digits(rng, 4)}"))


_MONTHS = {
    "en": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    "es": (
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ),
    "fr": (
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ),
}


def _date_of_birth(rng: random.Random, language: str) -> str:
    day, month, year = _number(rng, 1, 28), _number(rng, 1, 12), _number(rng, 1955, 2008)
    word = _MONTHS.get(language, _MONTHS["en"])[month - 1]
    if language == "es":
        return _pick(rng, (f"{day} de {word} de {year}", f"{day:02d}/{month:02d}/{year}"))
    if language == "fr":
        return _pick(rng, (f"{day} {word} {year}", f"{day:02d}/{month:02d}/{year}"))
    return _pick(
        rng, (f"{day} {word} {year}", f"{word} {day}, {year}", f"{month:02d}/{day:02d}/{year}", f"{year}-{month:02d}-{day:02d}")
    )


def _handle(rng: random.Random, language: str) -> str:
    one, two = _pick(rng, names.HANDLE_WORDS), _pick(rng, names.HANDLE_WORDS)
    return _pick(rng, (f"@{one}_{two}{_digits(rng, 2)}", f"@{one}{two}{_digits(rng, 3)}", f"{one}_{two}_{_digits(rng, 2)}"))


def _school(rng: random.Random, language: str) -> str:
    return _pick(rng, {"es": names.SCHOOLS_ES, "fr": names.SCHOOLS_FR}.get(language, names.SCHOOLS))


def _workplace(rng: random.Random, language: str) -> str:
    return _pick(rng, names.WORKPLACES)


def _ip_address(rng: random.Random, language: str) -> str:
    # Documentation ranges of RFC 5737 and RFC 3849.
    net = _pick(rng, ("192.0.2", "198.51.100", "203.0.113"))
    return _pick(
        rng,
        (
            f"{net}.{_number(rng, 1, 254)}",
            f"{net}.{_number(rng, 1, 254)}",
            f"2001:db8::{_number(rng, 1, 9999):x}:{_number(rng, 1, 9999):x}",
        ),
    )


def _url(rng: random.Random, language: str) -> str:
    one, two = _pick(rng, names.HANDLE_WORDS), _pick(rng, names.HANDLE_WORDS)
    return _pick(
        rng,
        (
            f"https://www.example.com/{one}-{two}",
            f"http://{one}.example.org/u/{two}{_digits(rng, 2)}",
            f"www.example.net/{one}/{two}",
        ),
    )


def _national_number(rng: random.Random, language: str) -> str:
    if language == "es":
        number = int(_digits(rng, 8))
        return f"{number:08d}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"  # the check letter of the Spanish DNI
    if language == "fr":
        body = f"{_number(rng, 1, 2)}{_digits(rng, 2)}{_number(rng, 1, 12):02d}75{_digits(rng, 3)}{_digits(rng, 3)}"
        return f"{body} {97 - int(body) % 97:02d}"  # the key of the French social security number
    # Numbers that begin with 9 are never given out as social security numbers.
    return f"9{_digits(rng, 2)}-{_number(rng, 70, 88)}-{_digits(rng, 4)}"


def _insurance_number(rng: random.Random, language: str) -> str:
    digits = [_digits(rng, 2) for _ in range(3)]
    parts = (_letters(rng, 2, "ABCEGHJKLMNPRSTWXYZ"), *digits, _letters(rng, 1, "ABCD"))
    return _pick(rng, (" ".join(parts), "".join(parts)))


def _account_number(rng: random.Random, language: str) -> str:
    if rng.random() < 0.5:
        return _digits(rng, 8)
    bank, account = "ZZZZ", _digits(rng, 14)
    spelled = int("".join(str(int(c, 36)) for c in f"{bank}{account}GB00"))
    return f"GB{98 - spelled % 97:02d} {bank} " + " ".join(account[i : i + 4] for i in range(0, 14, 4))


def _card_number(rng: random.Random, language: str) -> str:
    body = "400000" + _digits(rng, 9)
    doubled = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(body))
    number = body + str(-doubled % 10)  # the Luhn check digit
    return _pick(
        rng, (" ".join(number[i : i + 4] for i in range(0, 16, 4)), number, "-".join(number[i : i + 4] for i in range(0, 16, 4)))
    )


def _last_four(rng: random.Random, language: str) -> str:
    return str(_number(rng, 2100, 9899))


def _license_plate(rng: random.Random, language: str) -> str:
    if language == "es":
        return f"{_digits(rng, 4)} {_letters(rng, 3, 'BCDFGHJKLMNPRSTVWXYZ')}"
    if language == "fr":
        return f"{_letters(rng, 2)}-{_digits(rng, 3)}-{_letters(rng, 2)}"
    return _pick(
        rng,
        (
            f"{_number(rng, 1, 9)}{_letters(rng, 3)}{_digits(rng, 3)}",
            f"{_letters(rng, 2)}{_number(rng, 51, 74)} {_letters(rng, 3)}",
            f"{_letters(rng, 3)}-{_digits(rng, 4)}",
        ),
    )


def _passport_number(rng: random.Random, language: str) -> str:
    return _pick(rng, (f"{_letters(rng, 1)}{_digits(rng, 8)}", f"{_letters(rng, 3)}{_digits(rng, 6)}", _digits(rng, 9)))


def _coordinates(rng: random.Random, language: str) -> str:
    return f"{_number(rng, 30, 59)}.{_digits(rng, 5)}, -{_number(rng, 1, 120)}.{_digits(rng, 5)}"


PII_KINDS: Mapping[str, Callable[[random.Random, str], str]] = {
    "person_name": person_name,
    "email": _email,
    "phone": _phone,
    "street_address": _street_address,
    "postcode": _postcode,
    "date_of_birth": _date_of_birth,
    "handle": _handle,
    "school": _school,
    "workplace": _workplace,
    "ip_address": _ip_address,
    "url": _url,
    "national_number": _national_number,
    "insurance_number": _insurance_number,
    "account_number": _account_number,
    "card_number": _card_number,
    "last_four": _last_four,
    "license_plate": _license_plate,
    "passport_number": _passport_number,
    "coordinates": _coordinates,
}


def draw_value(kind: str, rng: random.Random, language: str) -> str:
    """A value of a kind; never one that reads like a helpline, which the scrub is to keep."""
    value = PII_KINDS[kind](rng, language)
    while value in HELPLINES:
        value = PII_KINDS[kind](rng, language)
    return value
