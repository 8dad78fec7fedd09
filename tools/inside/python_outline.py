"""Shortens Python to what defines names: a fifth is left to be parsed (run inside the desktop).

A file's syntax tree is for definitions and imports alone, and most of a file is in the bodies of
functions, which say nothing of either. So the text goes to the parser without them.
"""

import re

LINE = b"\x01"
"""Stands for the end of a line where the outline has none, so that lines can still be counted."""

TEXT = re.compile(
    rb'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*"""'
    rb"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*'''"
    rb'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    rb"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'"
    rb"|\#[^\n]*",
    re.S,
)
FUNCTION = re.compile(
    rb"^([ \t]*)((?:async[ \t]+)?def[ \t]+\w+[ \t]*\([^()]*(?:\([^()]*\)[^()]*)*\)[^\n:]*:"
    rb"[ \t\r]*\n)"
    rb"((?:(?:[ \t\r]*\n)*\1[ \t]+[^\s][^\n]*\n)+)",
    re.M,
)
DEFINING = re.compile(rb"^[ \t]*(?:async|def|class|@)", re.M)
IMPORTING = re.compile(rb"^[ \t]*((?:from|import)[ \t][^\n(]*(?:\([^()]*\))?[^\n]*\n)", re.M)


def outline(data):
    """The text without comments, and of functions that define no others the imports alone.

    It has as many ends of lines as the text, some of them as `LINE`. Where brackets go on to the
    left of their function it is no Python: then the text itself has to be parsed.
    """
    return FUNCTION.sub(without_body, TEXT.sub(without_text, data))


def without_text(match):
    text = match[0]
    if text[:1] == b"#":
        return b""
    return b'"' + LINE * text.count(b"\n") + b'"' if b"\n" in text else b'""'


def without_body(match):
    indent, head, body = match.groups()
    if DEFINING.search(body):
        return match[0]
    imports = [indent + b" " + each for each in IMPORTING.findall(body)]
    lines = body.count(b"\n") + body.count(LINE) - sum(each.count(b"\n") for each in imports) - 1
    return b"".join((indent, head, *imports, indent, b' "', LINE * lines, b'"\n'))
