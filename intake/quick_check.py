"""A fast yes for sound records: the contract's declaration, compiled to plain Python.

Most records are sound, and the declared models tell in a fifth of the time of a full validation that one is. `True` means
that the model accepts the record; `False` means only that it was not seen at once: then the model itself is asked, and
says what is wrong. The source is made from `model_fields`, so that the two cannot drift apart; a test holds them together.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from schemas.codes import Coded, code_lists
from schemas.fields import utc

REMEMBERED = 20_000


@cache
def quick_check(model: type[BaseModel]) -> Callable[[dict[str, Any]], bool]:
    """Whether a raw record is surely accepted by the model. Its timestamps are parsed in place where they are sound.

    Raises TypeError where a declaration has a form that cannot be compiled: a bug, found at first use.
    """
    names: dict[str, Any] = {"utc": utc}
    body = "\n".join(f"    {line}" for line in _object(model, "raw", names, 0))
    known = "".join(f", {name}={name}" for name in names)  # as arguments they are found faster than as globals
    source = f"def check(raw{known}):\n  try:\n{body}\n    return True\n  except (KeyError, TypeError, ValueError):\n    return False\n"
    exec(compile(source, f"<quick check of {model.__name__}>", "exec"), names)  # noqa: S102 - made from our own declaration
    made: Callable[[dict[str, Any]], bool] = names["check"]
    return made


def _object(model: type[BaseModel], value: str, names: dict[str, Any], depth: int) -> Iterator[str]:
    """Exactly the declared keys: as many as declared, and each of them there."""
    yield f"if len({value}) != {len(model.model_fields)}: return False"
    for name, field in model.model_fields.items():
        place = f"{value}[{name!r}]"
        if field.annotation is datetime:  # its validator parses it
            yield f"{place} = utc({place})"
        else:
            yield from _value(field.annotation, field.metadata, place, names, depth)


def _value(annotation: Any, rules: list[Any], place: str, names: dict[str, Any], depth: int) -> Iterator[str]:
    """The check of what stands at a place. What is looked at more than once gets a name: every step of these counts."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [part for rule in arguments[1:] for part in (rule.metadata if isinstance(rule, FieldInfo) else [rule])]
        yield from _value(arguments[0], [*rules, *inner], place, names, depth)
        return
    if (permitted := _permitted(annotation, rules)) is not None:
        yield f"if {place} not in {_named(permitted, names)}: return False"
        return
    if annotation is str and (pattern := _pattern(rules)) is not None:
        lengths = _bound(rules, MinLen, "min_length"), _bound(rules, MaxLen, "max_length")
        yield f"if not {_named(_Matching(pattern, *lengths), names)}[{place}]: return False"
        return
    value = f"v{depth}"
    if place != value:
        yield f"{value} = {place}"
    if origin in (Union, UnionType):
        (one,) = (argument for argument in arguments if argument is not NoneType)
        yield f"if {value} is not None:"
        yield from (f"  {line}" for line in _value(one, rules, value, names, depth))
    elif origin is list:
        most = _bound(rules, MaxLen, "max_length")
        yield f"if type({value}) is not list{f' or len({value}) > {most}' if most is not None else ''}: return False"
        item = f"v{depth + 1}"
        yield f"for {item} in {value}:"
        yield from (f"  {line}" for line in _value(arguments[0], [], item, names, depth + 1))
    elif annotation is str:
        least, most = _bound(rules, MinLen, "min_length"), _bound(rules, MaxLen, "max_length")
        if most is None:
            raise TypeError("a contract text without a longest length")
        yield f"if type({value}) is not str or len({value}) > {most}{f' or len({value}) < {least}' if least else ''}: return False"
    elif annotation is int:
        low, high = _bound(rules, Ge, "ge"), _bound(rules, Le, "le")
        if low is None or high is None:
            raise TypeError("a contract number without bounds")
        yield f"if type({value}) is not int or not {low} <= {value} <= {high}: return False"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _object(annotation, value, names, depth + 1)
    else:
        raise TypeError("a contract field has a form that the quick check does not know")


def _permitted(annotation: Any, rules: list[Any]) -> frozenset[Any] | None:
    """The codes of a coded field."""
    if get_origin(annotation) is Literal:
        return frozenset(get_args(annotation))
    codes = next((rule for rule in rules if isinstance(rule, Coded)), None)
    return None if codes is None else frozenset(code_lists()[codes.list_name])


def _pattern(rules: list[Any]) -> re.Pattern[str] | None:
    found = next((rule.pattern for rule in rules if isinstance(rule, StringConstraints) and rule.pattern), None)
    return None if found is None else re.compile(str(found), re.ASCII)


def _bound(rules: list[Any], kind: type[Any], name: str) -> int | None:
    found = [getattr(rule, name, None) for rule in rules if isinstance(rule, kind | StringConstraints)]
    return next((bound for bound in found if bound is not None), None)


def _named(thing: Any, names: dict[str, Any]) -> str:
    name = f"k{len(names)}"
    names[name] = thing
    return name


class _Matching(dict[str, bool]):
    """Whether a text matches a pattern as a whole, within lengths; the first that do are kept, since slugs repeat.

    Raises TypeError where it is asked of what is no text.
    """

    def __init__(self, pattern: re.Pattern[str], least: int | None, most: int | None) -> None:
        super().__init__()
        self._pattern, self._least, self._most = pattern, least, most

    def __missing__(self, text: str) -> bool:
        matches = self._pattern.fullmatch(text) is not None
        matches = matches and (self._least or 0) <= len(text) and (self._most is None or len(text) <= self._most)
        if matches and len(self) < REMEMBERED:
            self[text] = True
        return matches
