"""Templates: HTML out of views. Whatever is put into them is escaped, and nothing in them is inline script or style."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from streams.console import words


def environment() -> Environment:
    """The templates of this package, with the words that they use."""
    made = Environment(
        loader=PackageLoader("streams.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        shown_id=words.shown_id,
        moment=words.moment,
        iso=words.iso,
        ago=words.ago,
        percent=lambda part: f"{100 * part:.2f}",
    )
    made.globals.update(decision_words=words.DECISION_WORDS)
    return made


class Pages:
    """Renders templates by name."""

    def __init__(self) -> None:
        self._environment = environment()

    def html(self, template: str, **values: Any) -> str:
        """One page."""
        return self._environment.get_template(template).render(**values)
