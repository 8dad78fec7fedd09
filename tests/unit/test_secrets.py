"""Where secrets may come from, and what the sink takes them out of."""

from pathlib import Path

import pytest
from langchain_core.messages import AIMessage
from pydantic import SecretStr, ValidationError

from tools.errors import ModelError, UsageError
from tools.secrets import environment_of, read_secrets
from tools.settings import Settings
from tools.sink import Sink

TOKEN = "hunter2-hunter2"


def test_secrets_come_from_a_variable_of_any_name_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{TOKEN}\n")
    given = ["TOKEN", "OTHER=TOKEN", f"KEY=@{tmp_path}/key"]
    found = read_secrets(given, {"TOKEN": TOKEN})
    assert {name: value.get_secret_value() for name, value in found.items()} == dict.fromkeys(
        ("TOKEN", "OTHER", "KEY"), TOKEN
    )
    assert TOKEN not in repr(found)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("MISSING", "the variable MISSING is not set"),
        ("SHORT", "SHORT has 7 characters, not 8 to 16384"),
        ("A-B=TOKEN", "cannot be the name"),
        ("PATH=TOKEN", "cannot be the name"),
        ("SENTIENT_SECRETS=TOKEN", "cannot be the name"),
        ("KEY=@/no/such/file", "cannot read /no/such/file"),
        ("BROKEN", "no UTF-8 text"),
    ],
)
def test_secret_that_cannot_be_used_is_refused_by_name(given: str, words: str) -> None:
    environment = {"TOKEN": TOKEN, "SHORT": "1234567", "BROKEN": f"{TOKEN}\udcff"}
    with pytest.raises(UsageError, match=words) as refused:
        read_secrets([given], environment)
    assert TOKEN not in str(refused.value)


def test_settings_read_secrets_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setenv("SENTIENT_SECRETS", "TOKEN, OTHER=TOKEN")
    assert sorted(Settings().secrets) == ["OTHER", "TOKEN"]
    monkeypatch.setenv("SENTIENT_SECRETS", "NONE")
    with pytest.raises(ValidationError, match="the variable NONE is not set"):
        Settings()


def test_environment_without_a_thread_s_secret_says_how_to_give_it_again() -> None:
    secrets = {"TOKEN": SecretStr(TOKEN)}
    assert environment_of(["TOKEN"], secrets) == {"TOKEN": TOKEN, "SENTIENT_SECRETS": "TOKEN"}
    assert environment_of([], secrets) == {}
    with pytest.raises(UsageError, match="--secret KEY, or SENTIENT_SECRETS=KEY"):
        environment_of(["KEY", "TOKEN"], secrets)


def test_sink_knows_the_process_s_own_credentials_but_no_plain_word() -> None:
    settings = Settings(
        openai_api_key=SecretStr("sk-0123456789"),
        e2b_api_key=SecretStr("e2b_0123456789"),
        checkpoints=SecretStr("postgresql://me:p%40ss-word-1@host/db?password=other-1234"),
        LANGGRAPH_AES_KEY="0f" * 16,
        extra_index_url=SecretStr("https://token-12@a/simple b=https://me:pw-45678@b:8/simple"),
    )
    texts = [
        "token-12",
        "pw-45678",
        "sk-0123456789",
        "e2b_0123456789",
        "p@ss-word-1",
        "other-1234",
        "0f" * 16,
    ]
    assert all(Sink.of(settings).text(text).startswith("[secret:") for text in texts)
    common = Settings(checkpoints=SecretStr("postgresql://postgres:postgres@host/db"))
    assert not Sink.of(common)


def test_sink_takes_secrets_out_of_data_messages_and_errors() -> None:
    sink = Sink({"TOKEN": TOKEN})
    message = AIMessage(
        f"a {TOKEN}", tool_calls=[{"name": "shell", "args": {"command": TOKEN}, "id": "1"}], id="2"
    )
    data = {"messages": [message], TOKEN: (f"{TOKEN}!".encode(), None, 3)}
    clean = sink.data(data)
    assert sink.named(data) == ["TOKEN"]
    assert sink.named(clean) == []
    assert clean["messages"][0].id == "2"
    assert clean["[secret:TOKEN]"] == (b"[secret:TOKEN]!", None, 3)
    untouched = AIMessage("nothing")
    assert sink.data([untouched])[0] is untouched
    error = ModelError(f"it says {TOKEN}", hint=TOKEN)
    error.__cause__ = ValueError(TOKEN)
    with pytest.raises(ModelError) as raised, sink.errors():
        raise error
    assert str(raised.value) == "it says [secret:TOKEN] ([secret:TOKEN])"
    assert str(raised.value.__cause__) == "[secret:TOKEN]"
