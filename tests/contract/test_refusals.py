"""Contract of the embedded server alone: what it does not offer is refused by name."""

from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox, AsyncTemplate, AsyncVolume, Template

pytestmark = pytest.mark.embedded

CALLS = [
    ("GET", "/volumes", "volumes"),
    ("GET", "/secrets", "secrets"),
    ("POST", "/v3/templates", "template builds"),
    ("POST", "/templates/tags", "tagging templates"),
    ("GET", "/v2/sandboxes/x/logs", "logs"),
    ("GET", "/teams", "teams"),
]


@pytest.mark.parametrize(("method", "path", "name"), CALLS, ids=[path for _, path, _ in CALLS])
async def test_call_not_offered_answers_501_with_its_name(
    options: dict[str, Any], method: str, path: str, name: str
) -> None:
    headers = {"x-api-key": options["api_key"]}
    async with httpx.AsyncClient(base_url=options["api_url"], headers=headers) as client:
        answer = await client.request(method, path)
    assert answer.status_code == answer.json()["code"] == 501
    assert name in answer.json()["message"]
    assert answer.headers["should-retry"] == "false"


@pytest.mark.parametrize(
    ("choice", "name"),
    [({"mcp": {"browserbase": {}}}, "MCP"), ({"volume_mounts": {"/v": "vol"}}, "volumes")],
    ids=["mcp", "volumes"],
)
async def test_create_with_what_is_not_offered_is_refused(
    create: Any, choice: dict[str, Any], name: str
) -> None:
    with pytest.raises(e2b.SandboxException, match=f"501.*{name}"):
        await create(**choice)


async def test_memory_snapshot_is_refused(desktop: AsyncSandbox) -> None:
    with pytest.raises(e2b.SandboxException, match=r"400.*snapshots of memory"):
        await desktop.create_snapshot(mode="full")


async def test_template_build_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(e2b.BuildException, match=r"501.*template builds"):
        await AsyncTemplate.build(Template().from_template("base"), "mine", **options)


async def test_volume_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(e2b.VolumeException, match=r"501.*volumes"):
        await AsyncVolume.create("mine", **options)


async def test_root_is_refused_by_name(desktop: AsyncSandbox) -> None:
    with pytest.raises(e2b.AuthenticationException, match="root"):
        await desktop.commands.run("true", user="root")


async def test_built_in_template_cannot_be_deleted(options: dict[str, Any]) -> None:
    with pytest.raises(e2b.SandboxException, match=r"403.*built in"):
        await AsyncSandbox.delete_snapshot("base", **options)
