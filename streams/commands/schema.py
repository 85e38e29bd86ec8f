"""`assay schema`: the records as JSON Schema."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from features.errors import AssayError


class Name(StrEnum):
    """A record that has a schema."""

    EVENT = "event"
    LABEL = "label"
    VERDICT = "verdict"
    OUTCOME = "outcome"
    LINKS = "links"
    ENTITY = "entity"
    TELEMETRY = "telemetry"
    DEAD_LETTER = "dead-letter"
    ALERT = "alert"
    ALL = "all"


def schema(
    name: Annotated[Name, typer.Argument(help="Which record.")] = Name.ALL,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for one NAME.json each, instead of standard output.", file_okay=False),
    ] = None,
) -> None:
    """Print the JSON Schema (2020-12) of a record, or of all as one object by name.

    To check your own records against it, use any JSON Schema validator: assay schema event > event.json
    """
    from streams import schema as schemas

    names = schemas.NAMES if name is Name.ALL else (name.value,)
    documents = {each: schemas.schema(each) for each in names}
    if out is None:
        typer.echo(schemas.text(documents if name is Name.ALL else documents[name.value]), nl=False)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for each, document in documents.items():
            path = out / f"{each}.json"
            path.write_text(schemas.text(document), encoding="utf-8")
            typer.echo(path)
    except OSError as error:
        raise AssayError(f"--out {out}: expected a directory that can be written to ({error.strerror})") from None
