"""Parses source files of the git repository in the current folder (run inside the desktop).

    python parse_sources.py list FOLDER
                                      writes FOLDER/listing.json
    python parse_sources.py parse FOLDER SECONDS
                                      reads FOLDER/wanted.json, writes FOLDER/facts.*.jsonl

Nothing of the repository is imported or executed. Files are parsed in processes of their own: one
that takes more than SECONDS of processor time, or that the parser dies of, costs that file alone.
"""

import gc
import hashlib
import itertools
import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from languages import DEPTHS, GRAMMARS
from python_outline import LINE, outline

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{1,63}")
FROM = re.compile(r"from\s+(\.*)\s*([\w.]*)\s+import\s*\(?(.*?)\)?\s*$", re.S)
LAST_WORD = re.compile(r"\w+$")

SIZE_LIMIT = 1 << 20
"""Bytes above which a file is not parsed (generated code, data)."""
WORD_LIMIT, DEFINITION_LIMIT, IMPORT_LIMIT = 6000, 4000, 1000
"""What is kept of one file."""
MEMORY = 2 << 30
FILES = 50_000
MANIFESTS = {
    "pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "pytest.ini", "package.json", "go.mod",
    "Cargo.toml", "pom.xml", "build.gradle", "build.gradle.kts", "Makefile", "CMakeLists.txt",
    "Pipfile", "noxfile.py",
}  # fmt: skip
MANIFEST_BYTES = 64 << 10


def listing():
    """Regular files that git tracks, as [path, blob, bytes], and the texts of build files."""
    command = ["git", "ls-files", "--stage", "-z"]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    files, manifests = [], {}
    for entry in output.decode("utf-8", "surrogateescape").split("\0")[:FILES]:
        head, _, path = entry.partition("\t")
        if not head.startswith("100") or not is_unicode(path):
            continue
        try:
            size = os.lstat(path).st_size
            if path in MANIFESTS and size <= MANIFEST_BYTES and not os.path.islink(path):
                manifests[path] = Path(path).read_text("utf-8", "replace")
        except OSError:
            continue
        files.append([path, head.split(" ")[1], size])
    return {
        "files": files,
        "manifests": manifests,
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "machine": platform.machine(),
    }


def is_unicode(path):
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return bool(path)


class Language:
    """A parser and a query, made when the first file of the language comes."""

    def __init__(self, name):
        from tree_sitter import Language, Parser, Query

        module, function, query = GRAMMARS[name]
        language = Language(getattr(__import__(module), function)())
        self.parser, self.query = Parser(language), Query(language, query)
        self.depth = DEPTHS.get(name, 10)
        self.is_python = name == "Python"

    def facts(self, data):
        """Definitions as [name, kind, first line, last line], and imports."""
        from tree_sitter import QueryCursor

        found, imports = [], {}
        data, root = self.read(data)
        cursor = QueryCursor(self.query)
        cursor.set_max_start_depth(self.depth)
        matches = cursor.matches(root)
        for _, captures in matches:
            name = captures.pop("n", None)
            if name is not None:
                kind, (node,) = captures.popitem()
                text = clean(name[0].text)
                found.append((node.start_byte, -node.end_byte, text, kind, node))
            elif "i" in captures:
                imports.setdefault(clean(captures["i"][0].text))
            elif "module" in captures:
                text = captures["module"][0].text.decode("utf-8", "replace")
                imports.update(dict.fromkeys(from_imports(text)))
        return qualified(found, data), list(itertools.islice(imports, IMPORT_LIMIT))

    def read(self, data):
        """The text that has a syntax tree, and the tree's root: where it will do, an outline."""
        if self.is_python and LINE not in data:
            short = outline(data)
            root = self.parser.parse(short).root_node
            if not root.has_error:
                return short, root
        return data, self.parser.parse(data).root_node


def clean(data):
    """A name on one line, without what steers terminals, in 200 characters."""
    return "".join(each for each in data[:800].decode("utf-8", "replace") if each.isprintable())[
        :200
    ]


def from_imports(text):
    """`from .a import b, c as d` imports `.a.b` and `.a.c`."""
    text = re.sub(r"#[^\n]*|\\\n", "", text)
    match = FROM.match(text)
    if not match:
        return []
    dots, module, names = match.groups()
    start = dots + module + ("." if module else "")
    return [(start + part.split()[0])[:200] for part in names.split(",") if part.split()]


def qualified(found, data):
    """Sort definitions by place and put the names of those around them in front."""
    found.sort(key=lambda item: (item[0], item[1], item[3] == "constant"))
    around, result, last, hidden, counted = [], [], None, 0, 0
    for start, end, name, kind, node in found[:DEFINITION_LIMIT]:
        if (start, end) == last:
            continue
        last = (start, end)
        hidden, counted = hidden + data.count(LINE, counted, start), start
        while around and around[-1][0] < -end:
            around.pop()
        inner = [each for each in around if each[1] != "function"]
        if kind == "constant" and around:
            continue
        full = ".".join([*(each[2] for each in inner[-3:]), name])[:200]
        around.append((-end, "function" if kind == "function" else "scope", name))
        if kind != "scope":
            first, inside = node.start_point[0] + 1 + hidden, data.count(LINE, start, -end)
            result.append([full, kind, first, node.end_point[0] + 1 + hidden + inside])
    return result


def parse_file(path, language, languages):
    """Facts about one file, as plain data; the blob's id is computed from what was read."""
    with open(path, "rb") as file:
        data = file.read(SIZE_LIMIT + 1)
        if len(data) > SIZE_LIMIT:
            return None
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    words = Counter(WORD.findall(data.decode("utf-8", "replace")))
    if len(words) > WORD_LIMIT:
        words = dict(words.most_common(WORD_LIMIT))
    if language not in languages:
        languages[language] = Language(language)
    definitions, imports = languages[language].facts(data)
    return {
        "blob": blob,
        "language": language,
        "lines": data.count(b"\n"),
        "definitions": definitions,
        "imports": imports,
        "words": words,
    }


def work(wanted, target, seconds):
    """Parse file after file; each is one line of the target, `null` for one that cannot be."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    languages = {}
    gc.disable()
    with open(target, "ab", buffering=0) as out:
        for path, language in wanted:
            signal.setitimer(signal.ITIMER_PROF, seconds)
            try:
                facts = None if os.path.islink(path) else parse_file(path, language, languages)
            except (OSError, ValueError, MemoryError, RecursionError):
                facts = None
            out.write(json.dumps(facts, separators=(",", ":")).encode() + b"\n")


def parse_all(folder, seconds):
    """Share the files among processes; whoever dies of one is replaced, and goes on behind it."""
    with open(f"{folder}/wanted.json", encoding="utf-8") as file:
        wanted = json.load(file)
    count = max(1, min(4, len(os.sched_getaffinity(0)), len(wanted) // 8))
    open_work = {}
    for number in range(count):
        start(open_work, wanted[number::count], f"{folder}/facts.{number}.jsonl", seconds)
    while open_work:
        pid, status = os.wait()
        share, target = open_work.pop(pid)
        if status:
            with open(target, "ab+") as file:
                file.seek(0)
                done = file.read()
                whole = done[: done.rfind(b"\n") + 1]
                file.truncate(len(whole))
                file.write(b"null\n")
            start(open_work, share[whole.count(b"\n") + 1 :], target, seconds, known=share)


def start(open_work, share, target, seconds, known=None):
    """Fork a worker; `known` is all that the target has lines for in the end."""
    if known is not None and not share:
        return
    pid = os.fork()
    if not pid:
        work(share, target, seconds)
        os._exit(0)
    open_work[pid] = (known or share, target)


if __name__ == "__main__":
    action, folder = sys.argv[1:3]
    if action == "list":
        with open(f"{folder}/listing.json", "w", encoding="utf-8") as file:
            json.dump(listing(), file)
    else:
        sys.path.insert(0, f"{folder}/grammars")
        parse_all(folder, float(sys.argv[3]))
