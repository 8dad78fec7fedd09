"""The sink: no spelling of a secret gets through, whole or in pieces, and nothing else is lost."""

import base64
import html
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from samples import ROOT

from tools.inside.redaction import Redactor, Stream

TOKEN = "tok-4f'9\"A&+/é z_88==\\n"
PEM = "-----BEGIN KEY-----\n" + "\n".join(
    base64.b64encode(random.Random(n).randbytes(48)).decode() for n in range(9)
)
SECRETS = {"TOKEN": TOKEN, "PEM": PEM, "LONGER": f"{TOKEN}-and-more"}

ENCODINGS = {
    "plain": lambda text: text,
    "json": json.dumps,
    "json, as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "python": repr,
    "html": html.escape,
    "shell": shlex.quote,
    "url": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "url in lower case": lambda text: quote(text).lower() if text.islower() else quote(text),
    "hex": lambda text: text.encode().hex(),
    "HEX": lambda text: text.encode().hex().upper(),
    "dump": lambda text: text.encode().hex(" ", 2),
    "colons": lambda text: text.encode().hex(":"),
    "escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "percents": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of more": lambda text: base64.b64encode(f"u:{text}\n".encode()).decode(),
    "base64 of other": lambda text: base64.b64encode(f"user:{text}\n".encode()).decode(),
    "base64 for urls": lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(f"Basic {text}".encode()).decode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["TOKEN", "PEM"])
def test_secret_in_any_common_encoding_is_withheld_whole_and_in_pieces(
    encoding: str, name: str
) -> None:
    redactor, shown = Redactor(SECRETS), ENCODINGS[encoding](SECRETS[name])
    text = f"before {shown} after, and {shown}."
    clean = redactor(text)
    assert f"[secret:{name}]" in clean
    assert clean.startswith("before ")
    assert clean.endswith(".")
    longest = max((shown[at : at + 9] in clean, at) for at in range(len(shown) - 9))
    assert not longest[0], clean
    for size in (3, 64):
        stream = Stream(redactor)
        pieces = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]
        told = "".join([*pieces, stream.end()])
        assert re.sub(r"(\[secret:\w+\])+", r"\1", told) == clean


def test_stream_holds_back_only_what_may_be_a_secret() -> None:
    stream = Stream(Redactor({"TOKEN": "hunter2hunter2"}))
    assert stream.feed("building ... ") == "building ... "
    assert stream.feed("password: hunt") == "password: "
    assert stream.feed("ing season") == "hunting season"
    assert stream.feed("hunter2hunter2\n") == "[secret:TOKEN]\n"
    assert stream.feed("hunter2hunter") == ""
    assert stream.end() == "hunter2hunter"


def test_secret_that_begins_another_does_not_give_away_its_rest() -> None:
    redactor = Redactor({"SHORT": "abcdefgh", "LONG": "abcdefgh-ijklmn"})
    assert redactor("abcdefgh-ijklmn") == "[secret:LONG]"
    stream = Stream(redactor)
    pieces = [stream.feed("x abcdefgh"), stream.feed("-ijklmn y"), stream.end()]
    assert "".join(pieces) == "x [secret:LONG] y"


def test_text_without_secrets_is_the_same_object() -> None:
    text = "nothing here"
    assert Redactor({"TOKEN": TOKEN})(text) is text
    assert not Redactor({})


def test_program_passes_on_output_and_exit_code_without_secrets(tmp_path: Path) -> None:
    """It does not wait for what the command leaves behind."""
    left = tmp_path / "left"
    command = (
        f'printf "%s" "$KEY"; sleep 60 & echo $! > {left}; printf "caf\\303\\251 \\377"; exit 7'
    )
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/inside/redaction.py"), "bash", "-c", command],
        env={**os.environ, "SENTIENT_SECRETS": "KEY", "KEY": "hunter2hunter2"},
        capture_output=True, check=False, timeout=40,
    )  # fmt: skip
    os.kill(int(left.read_text()), signal.SIGKILL)
    assert (done.returncode, done.stdout) == (7, b"[secret:KEY]caf\xc3\xa9 \xff")
