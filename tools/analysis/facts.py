"""What is known of one file's contents: what the parser in the desktop says, within bounds."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

PARSER = 2
"""Raised when the parser says other things of the same file, so that old facts are not used."""

Name = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,20}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{2,64}$")]
Line = Annotated[int, Field(ge=0, le=10_000_000)]


class Facts(BaseModel):
    """One blob: symbols as [name, kind, first line, last line], imports, and words with counts."""

    blob: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$|^[0-9a-f]{64}$")]
    language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z+]{1,20}$")]
    lines: Line
    definitions: Annotated[list[tuple[Name, Kind, Line, Line]], Field(max_length=4000)] = []
    imports: Annotated[list[Name], Field(max_length=1000)] = []
    words: Annotated[dict[Word, Line], Field(max_length=6000)] = {}
