"""A plain view of a text, with the place of every character in the original.

Writers hide names and numbers from pattern rules, on purpose (`[at]`, look-alike letters, zero-width joins) or through their
keyboard (full-width digits, HTML entities). The recognizers read the view; the answer is given over the original.
"""

import html
import re
import unicodedata
from dataclasses import dataclass

# Only a text with one of these needs a view at all: the rest is its own view.
_NEEDS_VIEW = re.compile(
    r"[^\x00-\x7f]|&(?:#\w{1,7}|[A-Za-z]{2,8});|hxxp|\[\s*(?:at|dot)|\(\s*(?:at|dot)|\{\s*(?:at|dot)"
    r"|\b(?:at|dot)\b.{0,60}\b(?:dot|com|org|net|uk|de|fr)\b",
    re.IGNORECASE | re.DOTALL,
)

# Letters of other scripts that look like Latin ones. Applied only inside words that also hold Latin letters or only look-alikes.
_CONFUSABLE = {
    pair[0]: pair[1]
    for pair in [
        "аa",
        "еe",
        "оo",
        "рp",
        "сc",
        "уy",
        "хx",
        "іi",
        "јj",
        "ѕs",
        "ԁd",
        "ԛq",
        "ԝw",
        "һh",
        "ӏl",
        "кk",
        "АA",
        "ВB",
        "ЕE",
        "КK",
        "МM",
        "НH",
        "ОO",
        "РP",
        "СC",
        "ТT",
        "ХX",
        "ІI",
        "ЈJ",
        "ЅS",
        "УY",
        "Αa",
        "Βb",
        "Εe",
        "Ζz",
        "Ηh",
        "Ιi",
        "Κk",
        "Μm",
        "Νn",
        "Οo",
        "Ρp",
        "Τt",
        "Υy",
        "Χx",
        "αa",
        "οo",
        "νv",
        "ιi",
        "ρp",
        "τt",
        "υu",
        "κk",
        "ɑa",
        "ɡg",
        "ıi",
        "ⅼl",
    ]
}

_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[A-Za-z]{2,8});", re.IGNORECASE)
_REWRITES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s{0,3}[\[({]\s{0,3}at\s{0,3}[\])}]\s{0,3}", re.IGNORECASE), "@"),
    (re.compile(r"\s{0,3}[\[({]\s{0,3}dot\s{0,3}[\])}]\s{0,3}", re.IGNORECASE), "."),
    (re.compile(r"hxxp(?=s?:)", re.IGNORECASE), "http"),
    # "jane dot doe at mail dot com": only where a whole address is spelled out.
    (re.compile(r"(?<=\w)\s{1,3}at\s{1,3}(?=[\w-]{1,40}\s{1,3}dot\s{1,3}[a-z]{2,6}\b)", re.IGNORECASE), "@"),
    (re.compile(r"(?<=\w)\s{1,3}at\s{1,3}(?=[\w-]{1,40}\.(?:com|org|net|edu|co|de|fr|es|uk|io)\b)", re.IGNORECASE), "@"),
    (re.compile(r"(?<=[\w])\s{1,3}dot\s{1,3}(?=[a-z]{2,20}\b)", re.IGNORECASE), "."),
)


@dataclass(frozen=True, slots=True, repr=False)
class View:
    """A text as the recognizers read it. `origin[i]` is where character `i` stands in the original; one more entry ends it."""

    text: str
    origin: tuple[int, ...] | None

    def to_original(self, start: int, end: int) -> tuple[int, int]:
        """Give the range of the original that `text[start:end]` came from."""
        if self.origin is None:
            return start, end
        if start >= end:
            return self.origin[start], self.origin[start]
        return self.origin[start], self.origin[end]

    def __repr__(self) -> str:
        return f"View({len(self.text)} characters)"


def view_of(text: str) -> View:
    """Normalise one text. Costs one regex search where there is nothing to normalise."""
    if not _NEEDS_VIEW.search(text):
        return View(text, None)
    characters, origin = _fold_characters(text)
    view = View("".join(characters), (*origin, len(text)))
    for pattern, replacement in _REWRITES:
        view = _rewrite(view, pattern, replacement)
    return view


def _fold_characters(text: str) -> tuple[list[str], list[int]]:
    characters: list[str] = []
    origin: list[int] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "&" and (match := _ENTITY.match(text, position)):
            for decoded in html.unescape(match.group()):
                characters.append(decoded)
                origin.append(position)
            position = match.end()
            continue
        if character < "\x80":
            characters.append(character)
            origin.append(position)
        else:
            for folded in _fold(character):
                characters.append(folded)
                origin.append(position)
        position += 1
    return _fold_lookalikes(characters), origin


def _fold(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cf", "Mn", "Me", "Cc", "Co", "Cs"):
        return ""  # zero-width, combining and invisible characters: a name with one inside is still that name
    if category == "Zs":
        return " "
    if category == "Nd":
        return str(unicodedata.digit(character))
    if character in "‐‑‒–—−":
        return "-"
    if character in "‘’‛ʼ＇":
        return "'"
    if character in "“”„":
        return '"'
    if unicodedata.decomposition(character).startswith("<"):
        return unicodedata.normalize("NFKC", character)
    return character


def _fold_lookalikes(characters: list[str]) -> list[str]:
    text = "".join(characters)
    if not any(character in _CONFUSABLE for character in set(text)):
        return characters
    folded = list(characters)
    if len(text) != len(folded):
        return characters
    for word in re.finditer(r"[^\W\d_]+", text):
        letters = word.group()
        latin = any("a" <= letter.lower() <= "z" for letter in letters)
        if latin or all(letter in _CONFUSABLE for letter in letters):
            folded[word.start() : word.end()] = [_CONFUSABLE.get(letter, letter) for letter in letters]
    return folded


def _rewrite(view: View, pattern: re.Pattern[str], replacement: str) -> View:
    if not pattern.search(view.text):
        return view
    places = view.origin or tuple(range(len(view.text) + 1))
    pieces: list[str] = []
    origin: list[int] = []
    last = 0
    for match in pattern.finditer(view.text):
        pieces.append(view.text[last : match.start()])
        origin.extend(places[last : match.start()])
        pieces.append(replacement)
        origin.extend([places[match.start()]] * len(replacement))
        last = match.end()
    pieces.append(view.text[last:])
    origin.extend(places[last:])
    return View("".join(pieces), tuple(origin))


_DIGIT_WORD = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "double": "", "triple": "",
}  # fmt: skip
_SPELLED = re.compile(
    r"(?<!\w)(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple|\d)[\s,.-]{1,3}){4,40}"
    r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|\d)(?!\w)",
    re.IGNORECASE,
)


def spelled_digit_runs(text: str) -> list[tuple[int, int, str]]:
    """Find numbers written digit by digit ("five five five, 0 1") as `(start, end, digits)`, at least five digits long."""
    runs: list[tuple[int, int, str]] = []
    for match in _SPELLED.finditer(text):
        if not any(character.isalpha() for character in match.group()):
            continue  # plain digits: the phone recognizer knows a count when it sees one
        digits, repeat = "", 1
        for word in re.findall(r"[A-Za-z]+|\d", match.group()):
            lowered = word.lower()
            if lowered in ("double", "triple"):
                repeat = 2 if lowered == "double" else 3
                continue
            digits += (lowered if lowered.isdigit() else _DIGIT_WORD[lowered]) * repeat
            repeat = 1
        runs.append((match.start(), match.end(), digits))
    return runs
