"""Takes secrets out of text, also encoded in common ways, broken into lines, or in pieces.

Used on both sides: here by whatever comes out of a desktop, and inside it as a program,

    python redaction.py COMMAND ARGUMENTS

which runs a command and passes on what it prints without the values of the environment's
variables that SENTIENT_SECRETS names, so that no log in the desktop has them. It ends when the
command does: what processes print that the command left behind is lost.
"""

import base64
import codecs
import html
import json
import os
import re
import select
import subprocess
import sys
from urllib.parse import quote, quote_plus

NAMES = "SENTIENT_SECRETS"
"""The variable that names the others, with commas."""

SHORTEST = 8
"""Characters of a secret: a shorter one is in too much that is none."""

PART = 48
"""Characters that are looked for at once: a long secret is found in parts."""

HEX_BREAKS = " \t\r\n:,-%\\xX"
"""What stands between bytes in dumps, percent and backslash escapes."""

LINE_BREAKS = " \t\r\n"


class Redactor:
    """Replaces the values of `secrets` (name to value) by `[secret:NAME]`."""

    def __init__(self, secrets):
        self._plain, hexed, coded = {}, {}, {}
        for name, value in secrets.items():
            for part in parts_of(value):
                for needle in spellings(part):
                    self._plain.setdefault(needle, name)
                data = part.encode("utf-8", "surrogateescape")
                hexed.setdefault(data.hex(), name)
                hexed.setdefault(data.hex().upper(), name)
                for needle in base64_of(data):
                    coded.setdefault(needle, name)
        self._broken = [Broken(hexed, HEX_BREAKS, 2), Broken(coded, LINE_BREAKS, 1)]
        longest = max(map(len, [*self._plain, *hexed, *coded]), default=0)
        self._window = 3 * longest
        self._prefixes = prefixes_of(self._plain)

    def __bool__(self):
        return bool(self._plain)

    def __call__(self, text):
        """The text without the secrets."""
        return withheld(text, self.spans(text))

    def named(self, text):
        """The names of the secrets that a text holds."""
        return {name for _, _, name in self.spans(text)}

    def spans(self, text):
        """Where secrets are, from left to right and apart from each other."""
        found = []
        for needle, name in self._plain.items():
            at = text.find(needle)
            while at >= 0:
                found.append((at, at + len(needle), name))
                at = text.find(needle, at + 1)
        for broken in self._broken:
            found += broken.spans(text)
        return merged(found)

    def settled(self, text):
        """How much of a text can be judged: in the rest a secret has perhaps begun."""
        begin = max(0, len(text) - self._window)
        window = text[begin:]
        cuts = [broken.begun(window) for broken in self._broken]
        starts = (at for at in range(len(window)) if window[at:] in self._prefixes)
        return begin + min([*cuts, next(starts, len(window))])


class Broken:
    """Needles that may have something between each two of their units."""

    def __init__(self, needles, breaks, unit):
        self._names, self._table = needles, dict.fromkeys(map(ord, breaks))
        self._between = f"[{re.escape(breaks)}]{{0,4}}"
        self._unit, self._prefixes = unit, prefixes_of(needles)

    def spans(self, text):
        whole = text.translate(self._table) if self._names else ""
        for needle, name in self._names.items():
            if needle in whole:
                units = [needle[at : at + self._unit] for at in range(0, len(needle), self._unit)]
                pattern = self._between.join(map(re.escape, units))
                for match in re.finditer(pattern, text):
                    yield (*match.span(), name)

    def begun(self, window):
        """Where a needle has perhaps begun, or the end."""
        units = [at for at, character in enumerate(window) if ord(character) not in self._table]
        whole = "".join([window[at] for at in units])
        return next(
            (at for number, at in enumerate(units) if whole[number:] in self._prefixes), len(window)
        )


class Stream:
    """The same for text that comes in pieces; what may be the beginning of a secret waits."""

    def __init__(self, redactor):
        self._redactor, self._rest, self._covered = redactor, "", 0

    def feed(self, piece):
        """What can be told of all that came."""
        text = self._rest + piece
        return self._told(text, self._redactor.settled(text))

    def end(self):
        """The rest: no more will come."""
        return self._told(self._rest, len(self._rest))

    def _told(self, text, cut):
        # of what waited, the beginning may belong to a secret that was told of already
        told = self._covered
        spans = merged(
            [*self._redactor.spans(text), (0, told, "")] if told else self._redactor.spans(text)
        )
        before = [(start, min(stop, cut), name) for start, stop, name in spans if start < cut]
        self._rest = text[cut:]
        self._covered = max(
            [stop - cut for start, stop, _ in spans if start < cut < stop], default=0
        )
        return withheld(text[:cut], before, silent=bool(told))


def merged(spans):
    """The same places, apart from each other and in order."""
    apart = []
    for start, stop, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if apart and start <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(stop, apart[-1][1]), apart[-1][2])
        else:
            apart.append((start, stop, name))
    return apart


def withheld(text, spans, silent=False):
    """The text without these places; a `silent` first one at its beginning is not named."""
    if not spans:
        return text
    shown, end = [], 0
    for start, stop, name in spans:
        shown += [text[end:start], "" if silent and not start else f"[secret:{name}]"]
        end = stop
    return "".join([*shown, text[end:]])


def parts_of(value):
    """What is looked for: the value and each of its lines, in parts of at most `PART`."""
    for text in dict.fromkeys([value, *value.splitlines()]):
        if len(text) >= SHORTEST:
            yield from {text[at : at + PART] for at in range(0, max(1, len(text) - PART), PART)}
            yield text[-PART:]


def spellings(text):
    """The text as it is, and as JSON, Python, shells, URLs and HTML write it."""
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield html.escape(text)
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", text)
    yield text.replace("'", "'\\''")
    yield text.replace("'", "'\"'\"'")
    for encode in (quote, quote_plus):
        for safe in ("", "/"):
            written = encode(text, safe=safe, errors="surrogateescape")
            yield written
            yield re.sub("%..", lambda match: match[0].lower(), written)


def base64_of(data):
    """What the encoding of anything that holds the data has in it, wherever the data begins."""
    for shift, skip in ((0, 0), (1, 2), (2, 3)):
        length = (shift + len(data)) * 8 // 6
        core = base64.b64encode(bytes(shift) + data)[skip:length].decode()
        yield core
        yield core.replace("+", "-").replace("/", "_")


def prefixes_of(needles):
    return {needle[:length] for needle in needles for length in range(1, len(needle))}


def of_environment():
    """The secrets of this process."""
    names = [name for name in os.environ.get(NAMES, "").split(",") if name in os.environ]
    return Redactor({name: os.environ[name] for name in names})


def main():
    child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    stream, pipe = Stream(of_environment()), child.stdout.fileno()
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    os.set_blocking(pipe, False)
    data = b" "
    while data:
        ended = child.poll() is not None
        if not select.select([pipe], [], [], 0 if ended else 0.05)[0]:
            if ended:
                break
            continue
        data = os.read(pipe, 1 << 16)
        write(stream.feed(decoder.decode(data)))
    write(stream.feed(decoder.decode(b"", final=True)) + stream.end())
    code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)


def write(text):
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
