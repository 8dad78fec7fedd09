"""Which server answers the E2B SDK: E2B cloud, a self-hosted one, or the embedded server."""

import asyncio
from pathlib import Path

from e2b.connection_config import ApiParams

from sentient_desktop import ensure_server
from sentient_desktop.errors import DesktopError
from tools.errors import EnvironmentFaultError
from tools.settings import Settings
from tools.sink import Sink


class Connection:
    """Hands out the SDK's connection options; starts the embedded server when that is the one.

    The embedded server may be restarted at another port at any time (after a crash, an upgrade),
    so options are asked for at each use and never stored.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.sink = Sink.of(settings)
        """What comes out of desktops passes it."""

    @property
    def template(self) -> str:
        """The template new desktops are made from."""
        if self._settings.template:
            return self._settings.template
        return "code-interpreter-v1" if self._settings.uses_cloud else "base"

    @property
    def is_embedded(self) -> bool:
        """Whether the server is ours and runs on this machine."""
        return self._settings.e2b_api_key is None

    @property
    def server_name(self) -> str:
        """Tells servers apart: ids of desktops and snapshots of one mean nothing to another."""
        return "embedded" if self.is_embedded else self._settings.e2b_api_url or "e2b.dev"

    @property
    def data_dir(self) -> Path:
        """Where the embedded server keeps its state."""
        return self._settings.home / "desktop"

    async def options(self) -> ApiParams:
        """Options for any call of the SDK.

        Raises:
            EnvironmentFaultError: the embedded server cannot run on this machine.
        """
        settings = self._settings
        if settings.e2b_api_key is not None:
            return _explicit(settings)
        try:
            endpoint = await asyncio.to_thread(ensure_server, self.data_dir)
        except (DesktopError, OSError) as error:
            raise EnvironmentFaultError(f"no desktop server: {error}") from error
        return ApiParams(api_key=endpoint.api_key, api_url=endpoint.url, sandbox_url=endpoint.url)


def _explicit(settings: Settings) -> ApiParams:
    key = settings.e2b_api_key
    options = ApiParams(api_key=key.get_secret_value() if key else "")
    if settings.e2b_api_url:
        options["api_url"] = settings.e2b_api_url
    if settings.e2b_sandbox_url:
        options["sandbox_url"] = settings.e2b_sandbox_url
    return options
