"""One Jinja environment: strict (a missing value is an error, never an empty space) and deterministic."""

from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _environment() -> Any:
    from jinja2 import Environment, FunctionLoader, StrictUndefined, select_autoescape

    def source(name: str) -> str:
        return files("publish").joinpath("templates", name).read_text(encoding="utf-8")

    return Environment(
        loader=FunctionLoader(source),
        undefined=StrictUndefined,
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: Any) -> str:
    """A template of `publish/templates/` with its values. HTML is escaped, Markdown is not."""
    return str(_environment().get_template(template).render(**values))
