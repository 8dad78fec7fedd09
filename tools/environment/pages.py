"""Pages of package indexes: what files a project has, in either form, made into one form.

Source: the simple repository API (PEP 503, PEP 629, PEP 691, PEP 658 and PEP 714).
"""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from tools.environment.tables import entries, table

JSON = "application/vnd.pypi.simple.v1+json"
ACCEPT = f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

NPM_ACCEPT = "application/vnd.npm.install-v1+json, application/json;q=0.5"

KEPT = ("hashes", "requires-python", "size", "upload-time", "yanked", "core-metadata")
"""What is said of a file besides its name and its address."""


class PageError(Exception):
    """An index answered with something that is no page of one."""


def read_page(kind: str, body: bytes, url: str) -> list[dict[str, Any]]:
    """The files that a page at `url` lists; each has filename, an absolute url, and of `KEPT`.

    Raises:
        PageError: it is neither JSON nor HTML of that API.
    """
    if "json" in kind:
        try:
            document = table(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise PageError(f"{url} is no JSON: {error}") from error
        listed = entries(document.get("files"))
    elif "html" in kind:
        listed = list(_links(body.decode("utf-8", "replace")))
    else:
        raise PageError(f"{url} is {kind or 'of no type'}, neither JSON nor HTML")
    return [found for entry in listed if (found := _file(entry, url)) is not None]


def _file(entry: dict[str, Any], page: str) -> dict[str, Any] | None:
    name, url = entry.get("filename"), entry.get("url")
    if (
        not (isinstance(name, str) and isinstance(url, str))
        or "/" in name
        or not name.isprintable()
    ):
        return None
    try:
        absolute = urljoin(page, url)
        urlsplit(absolute)
    except ValueError:
        return None
    return {"filename": name, "url": absolute, **{k: entry[k] for k in KEPT if k in entry}}


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append((dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][1].append(data)


def _links(text: str) -> Iterator[dict[str, Any]]:
    parser = _Anchors()
    parser.feed(text)
    for attributes, words in parser.found:
        url, fragment = urldefrag(attributes.get("href") or "")
        name = unquote(urlsplit(url).path.rpartition("/")[2]) or "".join(words).strip()
        entry: dict[str, Any] = {"filename": name, "url": url, "hashes": _hashes(fragment)}
        if attributes.get("data-requires-python"):
            entry["requires-python"] = attributes["data-requires-python"]
        if "data-yanked" in attributes:
            entry["yanked"] = attributes["data-yanked"] or True
        for attribute in ("data-core-metadata", "data-dist-info-metadata"):
            if attribute in attributes:
                entry["core-metadata"] = _hashes(attributes[attribute] or "") or True
        if url:
            yield entry


def _hashes(text: str) -> dict[str, str]:
    kind, _, value = text.partition("=")
    return {kind: value} if value and kind.isalnum() else {}


def write_page(name: str, files: list[dict[str, Any]]) -> bytes:
    """A page in JSON."""
    meta = {"api-version": "1.0"}
    return json.dumps({"meta": meta, "name": name, "files": files}).encode()


def read_package(body: bytes, url: str) -> dict[str, Any]:
    """What an npm registry says of a package; every version has an absolute `dist.tarball`.

    Raises:
        PageError: it is no such thing.
    """
    try:
        page = table(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise PageError(f"{url} is no JSON: {error}") from error
    versions = table(page.get("versions"))
    page["versions"] = {}
    for version, found in versions.items():
        dist = table(table(found).get("dist"))
        if isinstance(dist.get("tarball"), str):
            page["versions"][version] = {
                **found,
                "dist": {**dist, "tarball": urljoin(url, dist["tarball"])},
            }
    return page
