"""The package service: what an installer can get from it, and who gets the password."""

import json
from pathlib import Path
from typing import Any

import pytest
from package_index import PASSWORD, USER, PackageIndex, package_index, wheel
from pydantic import SecretStr

from tools.environment.indexes import Index, basic, configured_indexes, configured_registry, shown
from tools.environment.pages import JSON, PageError, read_page
from tools.environment.service import PackageService
from tools.errors import UsageError
from tools.settings import Settings

REGISTRY = Index("https://registry.test/")
GREETING = wheel("greeting", "1.0", {"greeting.py": "TEXT = 'hello'\n"})


def index_of(served: PackageIndex) -> Index:
    return Index(served.url, basic(USER, PASSWORD))


async def test_service_page_and_file_are_fetched_with_the_password(tmp_path: Path) -> None:
    with package_index(GREETING) as served:
        async with PackageService([index_of(served)], REGISTRY, tmp_path) as service:
            page = await service.answer("/0/greeting/")
            listed = json.loads(bytes(page.body))["files"]  # type: ignore[arg-type]
            [file] = listed
            assert file["url"] == f"/file/0/{GREETING[0]}"
            assert len(file["hashes"]["sha256"]) == 64
            for _ in range(2):  # the second time from the folder
                got = await service.answer(file["url"])
                assert isinstance(got.body, Path)
                assert got.body.read_bytes() == GREETING[1]
            assert service.troubles == []
    assert served.asked == [("/simple/greeting/", True), (f"/files/{GREETING[0]}", True)]


@pytest.mark.parametrize(
    "path",
    [
        "/", "/0/", "/9/greeting/", "/0/gree%2fting/", "/0/../files/", "/file/0/x", "/file/-1/x",
        "/0/greeting/more/", "/0/" + "a" * 101 + "/", "http://127.0.0.1/0/greeting/", "//host/0/x",
    ],
)  # fmt: skip
async def test_service_anything_else_is_not_found_and_not_asked_for(
    path: str, tmp_path: Path
) -> None:
    with package_index(GREETING) as served:
        async with PackageService([index_of(served)], REGISTRY, tmp_path) as service:
            assert (await service.answer(path)).status == 404
    assert served.asked == []


async def test_service_links_to_other_servers_are_followed_by_https_only(tmp_path: Path) -> None:
    with package_index() as other, package_index() as served:
        served.files = {"evil-1.0.tar.gz": b""}
        page = f'<a href="http://127.0.0.1:{other.port}/files/evil-1.0.tar.gz">evil</a>'
        served.answer = lambda _: (200, "text/html", page.encode())  # type: ignore[method-assign]
        async with PackageService([index_of(served)], REGISTRY, tmp_path) as service:
            await service.answer("/0/evil/")
            got = await service.answer("/file/0/evil-1.0.tar.gz")
            assert got.status == 403
            assert service.troubles == ["an index leads to http://127.0.0.1"]
    assert other.asked == []


async def test_service_silent_index_is_asked_once_and_named(tmp_path: Path) -> None:
    with package_index() as served:
        index = index_of(served)
    async with PackageService([index], REGISTRY, tmp_path) as service:
        assert {(await service.answer(f"/0/{name}/")).status for name in "abc"} == {503}
        assert len(service.troubles) == 2
        assert f"127.0.0.1:{served.port} does not answer" in service.troubles[0]


async def test_service_refused_password_is_said_without_it(tmp_path: Path) -> None:
    with package_index(GREETING) as served:
        async with PackageService(
            [Index(served.url, basic(USER, "wrong"))], REGISTRY, tmp_path
        ) as service:
            assert (await service.answer("/0/greeting/")).status == 401
            assert service.troubles == [f"{served.url} answers 401 for /simple/greeting/"]


async def test_service_package_of_npm_leads_to_files_of_ours(tmp_path: Path) -> None:
    with package_index(("left-1.0.tgz", b"packed")) as served:
        page = {"versions": {"1.0": {"dist": {"tarball": "/files/left-1.0.tgz"}}, "2": {}}}
        pages, serve = json.dumps(page).encode(), served.answer
        served.answer = lambda path: (  # type: ignore[method-assign]
            serve(path) if "files" in path else (200, "application/json", pages)
        )
        registry = Index(served.url, basic(USER, PASSWORD))
        async with PackageService([], registry, tmp_path) as service:
            service.address = "http://here"
            got = json.loads(bytes((await service.answer("/npm/@own%2fleft")).body))  # type: ignore[arg-type]
            assert got == {
                "versions": {"1.0": {"dist": {"tarball": "http://here/file/0/left-1.0.tgz"}}}
            }
            file = await service.answer("/file/0/left-1.0.tgz")
            assert isinstance(file.body, Path)
            assert file.body.read_bytes() == b"packed"
    assert served.asked[0] == ("/simple/@own%2fleft", True)


def test_page_in_html_and_in_json_says_the_same() -> None:
    digest = "b" * 64
    html = (
        f'<a href="../files/a-1%2Bcpu.whl#sha256={digest}" data-requires-python="&gt;=3.8"'
        f' data-yanked="old" data-core-metadata="sha256={digest}">a</a><a>no link</a>'
    ).encode()
    data: dict[str, Any] = {
        "filename": "a-1+cpu.whl", "url": "../files/a-1%2Bcpu.whl", "hashes": {"sha256": digest},
        "requires-python": ">=3.8", "yanked": "old", "core-metadata": {"sha256": digest},
        "more": 1,
    }  # fmt: skip
    odd = [
        {"filename": "../x", "url": "x"},
        {"filename": 1},
        "x",
        {"filename": "y", "url": "http://["},
    ]
    body = json.dumps({"files": [data, *odd]}).encode()
    url = "https://index/simple/"
    assert read_page("text/html", html, url) == read_page(JSON, body, url)
    assert read_page("text/html", html, url)[0]["url"] == "https://index/files/a-1%2Bcpu.whl"
    for kind, wrong in (("application/json", b"{"), ("image/png", b"")):
        with pytest.raises(PageError, match="https://index/simple/"):
            read_page(kind, wrong, url)


def test_indexes_environment_counts_more_than_uv_than_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    pip = tmp_path / "pip.conf"
    pip.write_text(
        "[global]\nindex_url = https://me:p%40ss@pip.test/simple\n"
        "extra_index_url = https://more.test/simple\n    file:///opt/wheels\n"
    )
    (tmp_path / ".netrc").write_text("machine more.test login netrc password secret\n")
    settings = Settings(home=tmp_path, pip_config_file=str(pip), netrc=str(tmp_path / ".netrc"))
    more, default = configured_indexes(settings)
    assert more == Index("https://more.test/simple/", basic("netrc", "secret"))
    assert default == Index("https://pip.test/simple/", basic("me", "p@ss"))
    assert "ss@" not in shown([more, default]) + repr([more, default])
    uv = tmp_path / ".config/uv/uv.toml"
    uv.parent.mkdir(parents=True)
    uv.write_text('[[index]]\nname = "own"\nurl = "https://uv.test/simple"\ndefault = true\n')
    assert shown(configured_indexes(settings)).endswith("https://uv.test/simple/")
    given = settings.model_copy(update={"uv_no_config": True, "pip_config_file": "/dev/null"})
    assert shown(configured_indexes(given)) == "https://pypi.org/simple/"
    npmrc = tmp_path / "npmrc"
    npmrc.write_text("registry=https://npm.test/own\n//npm.test/own/:_authToken=t0ken\n")
    settings = settings.model_copy(update={"npm_config_file": str(npmrc)})
    assert configured_registry(settings) == Index("https://npm.test/own/", "Bearer t0ken")
    broken = settings.model_copy(update={"npm_registry": SecretStr("[secret:INDEX]")})
    with pytest.raises(UsageError, match="no address of a web server"):
        configured_registry(broken)
    monkeypatch.setenv("PIP_INDEX_URL", "http://[::1]:8080/env")
    monkeypatch.setenv("UV_INDEX", "corp=https://corp.test/")
    assert shown(configured_indexes(Settings(home=tmp_path))) == (
        "https://corp.test/, http://[::1]:8080/env/"
    )
