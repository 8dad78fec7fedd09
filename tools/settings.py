"""Configuration, read once from the environment (prefix `SENTIENT_`) at the edge of a run."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tools.errors import UsageError
from tools.secrets import read_secrets

NO_MODEL = "none"
"""The model name that stands for the offline engine."""

DEFAULT_MODEL = "gpt-5-mini"
"""Used when a key or an endpoint is configured but no model is named."""


def _default_home() -> Path:
    return Path("~/.local/state/sentient").expanduser()


def _check_key(key: SecretStr | None) -> SecretStr | None:
    length = len(key.get_secret_value().encode()) if key else 0
    if length not in (0, 16, 24, 32):
        raise PydanticCustomError("key", f"the key has {length} bytes, not 16, 24 or 32")
    return key if length else None


def _read_secrets(given: object) -> object:
    """Names with commas, as the variable has them; a mapping is what it is."""
    if not isinstance(given, str):
        return given
    try:
        return read_secrets([item for item in given.split(",") if item.strip()], os.environ)
    except UsageError as error:
        raise PydanticCustomError("secrets", "{reason}", {"reason": str(error)}) from error


class Settings(BaseSettings):
    """What holds for every run of this process. Nothing else reads the environment."""

    model_config = SettingsConfigDict(
        env_prefix="SENTIENT_", frozen=True, extra="ignore", populate_by_name=True
    )

    home: Annotated[Path, BeforeValidator(lambda given: given or _default_home())] = Field(
        default_factory=_default_home
    )
    """Folder of the thread database, the ledger and the embedded desktop server's state."""

    checkpoints: SecretStr = SecretStr("")
    """Where checkpoints are: empty for a file in `home`, `sqlite:///PATH`, `postgresql://...`."""

    aes_key: Annotated[SecretStr | None, AfterValidator(_check_key)] = Field(
        default=None, validation_alias="LANGGRAPH_AES_KEY"
    )
    """Encrypts what checkpoints hold: 16, 24 or 32 bytes."""

    secrets: Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_read_secrets)] = {}
    """What tests and the coder's commands get as environment: `NAME`, `NAME=VARIABLE`,
    `NAME=@FILE`, with commas."""

    model: str = ""
    """Model name for planner, coder and reviewer; empty means: by what is configured."""

    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(
        default=None, validation_alias=AliasChoices("OPENAI_BASE_URL", "OPENAI_API_BASE")
    )
    model_timeout_s: float = Field(default=120, gt=0)
    """Seconds a single model call may take."""

    model_patience_s: float = Field(default=300, ge=0)
    """Seconds for which a call that the endpoint cannot answer now is tried again."""

    candidates: int = Field(default=1, ge=1, le=8)
    """Coders that work on a plan side by side where a run does not say; the engine is one."""

    candidates_at_once: int = Field(default=4, ge=1, le=8)
    """How many of them work at a time, each with one desktop."""

    answer_tokens: int = Field(default=16_384, gt=0)
    """Tokens a model's answer may have, its reasoning included."""

    price_in: float | None = Field(default=None, ge=0, lt=1e6)
    price_out: float | None = Field(default=None, ge=0, lt=1e6)
    """US dollars for a million tokens of the model's input and output; 0 for a model of one's own.

    None: by the model's name where it is OpenAI's, else not known."""

    context_tokens: int = Field(default=48_000, ge=2000)
    """Tokens of a coder's conversation that its model is shown; older answers are shortened."""

    e2b_api_key: SecretStr | None = Field(default=None, validation_alias="E2B_API_KEY")
    e2b_api_url: str | None = Field(default=None, validation_alias="E2B_API_URL")
    e2b_sandbox_url: str | None = Field(default=None, validation_alias="E2B_SANDBOX_URL")
    template: str = ""
    """Desktop template; empty means `base` here and `code-interpreter-v1` on E2B cloud."""

    desktop_timeout_s: int = Field(default=3600, ge=60, le=86_400)
    """Seconds without a node at work after which the server pauses a desktop."""

    desktop_patience_s: float = Field(default=600, ge=0)
    """Seconds for which a desktop that the server's quota refuses is waited for."""

    test_timeout_s: float = Field(default=30, gt=0)
    """Seconds one test may take before it counts as failed."""

    suite_timeout_s: float = Field(default=600, gt=0)
    """Seconds one run of the whole suite may take."""

    baseline_reruns: int = Field(default=1, ge=0, le=10)
    """How often the baseline's failing tests run again, to find out which of them are flaky."""

    mutants: int = Field(default=6, ge=0, le=50)
    """Faults put into a verified patch, one at a time, to see whether tests notice; 0: none."""

    repair_budget_s: float = Field(default=60, gt=0)
    """Seconds the offline engine may search in one attempt."""

    repair_candidates: int = Field(default=6000, gt=0)
    """Candidate edits the offline engine may try in one attempt."""

    max_source_mb: int = Field(default=1024, gt=0)
    """Largest repository that is copied into a desktop, in MiB before compression."""

    keep_days: float = Field(default=30, ge=0, le=36_500)
    """Days after which `sentient prune` removes finished threads whole; 0 keeps them for ever."""

    install: bool = True
    """Whether what a repository's manifests ask for is installed for its tests."""

    install_timeout_s: float = Field(default=900, gt=0)
    """Seconds that one step of installing may take."""

    index_url: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"),
    )
    """The user's package index; empty means by the configuration of uv, of pip, or PyPI."""

    extra_index_url: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
    )
    pip_config_file: str = Field(default="", validation_alias="PIP_CONFIG_FILE")
    uv_no_config: bool = Field(default=False, validation_alias="UV_NO_CONFIG")
    netrc: str = Field(default="~/.netrc", validation_alias="NETRC")
    npm_registry: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("NPM_CONFIG_REGISTRY", "npm_config_registry"),
    )
    npm_config_file: str = Field(
        default="~/.npmrc",
        validation_alias=AliasChoices("NPM_CONFIG_USERCONFIG", "npm_config_userconfig"),
    )

    def with_secrets(self, given: Iterable[str]) -> "Settings":
        """These settings with further secrets, written as in `SENTIENT_SECRETS`.

        Raises:
            UsageError: one cannot be used.
        """
        secrets = {**self.secrets, **read_secrets(given, os.environ)}
        return self.model_copy(update={"secrets": secrets})

    @property
    def leases(self) -> Path:
        """Folder of the locks that keep one run a thread."""
        return self.home / "leases"

    @property
    def grammars(self) -> Path:
        """Folder of parsers for desktops whose Python is not this machine's."""
        return self.home / "grammars"

    @property
    def model_name(self) -> str:
        """The model to use: `none` unless a model, a key or an endpoint is configured."""
        if self.model:
            return self.model
        return DEFAULT_MODEL if self.openai_api_key or self.openai_base_url else NO_MODEL

    @property
    def is_openai(self) -> bool:
        """Whether the model endpoint is OpenAI's own (or Azure's of it), by its host."""
        host = urlsplit(self.openai_base_url or "https://api.openai.com").hostname or ""
        return host.endswith((".openai.com", ".azure.com"))

    @property
    def uses_cloud(self) -> bool:
        """Whether desktops live on E2B cloud: a key is set and no server of one's own is named."""
        return self.e2b_api_key is not None and not self.e2b_api_url
