"""Prose, and inputs made to cost much: for tests and for the benchmark only."""

PROSE = "I have been thinking about it for a long time and I do not know what to say to anyone at work or at home. "
SIZE = 12_000
WORST = {
    "hosts": "a." * (SIZE // 2),
    "digits": "1 " * (SIZE // 2),
    "one digit run": "7" * SIZE,
    "dashes": "1-" * (SIZE // 2),
    "at": "a@" * (SIZE // 2),
    "colons": "a:" * (SIZE // 2),
    "brackets": "((((" * (SIZE // 4),
    "names": "Mr Zq " * (SIZE // 6),
    "one word": "a" * SIZE,
    "capitals": "Zq " * (SIZE // 3),
    "underscores": "a_" * (SIZE // 2),
    "at and dot": "x at y dot " * (SIZE // 11),
    "entities": "&#65;" * (SIZE // 5),
    "spelled": "one two " * (SIZE // 8),
    "streets": "1 road " * (SIZE // 7),
    "letters": "a b " * (SIZE // 4),
    "newlines": "\n" * SIZE,
    "full stops": "." * SIZE,
    "full stops and quotes": "." * (SIZE // 2) + "'" * (SIZE // 2),
}

# Prose in which a word is unexplained in every sentence, so that the models read it too.
PROSE_THAT_IS_READ = (PROSE + "Then Zorvane came by. ") * (SIZE // (len(PROSE) + 22))
