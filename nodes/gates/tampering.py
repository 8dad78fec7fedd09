"""Gates against product code that reaches into the test machinery, parsed as Python."""

import ast
import re
import sys
from collections.abc import Iterator

from nodes.gates.constants import UnknownError, constant
from nodes.gates.lines import HOOKING, TEST_AWARE, TEST_FILES
from nodes.gates.patch_text import Review
from tools.protection import TEST_MACHINERY

STREAMS = {"stdout", "stderr", "stdin", "excepthook", "displayhook"}
DUNDER = re.compile(r"__(eq|ne|lt|le|gt|ge|class|instancecheck|bool|builtins|globals|code|dict)__")
DECODERS = {
    "b64decode", "b32decode", "b16decode", "b85decode", "a85decode", "fromhex", "unhexlify",
    "decompress", "loads", "literal_eval",
}  # fmt: skip
TELLING = (TEST_AWARE, TEST_FILES, HOOKING, DUNDER)
RUNNERS = {"exec", "eval", "compile"}


def patched_modules(review: Review) -> Iterator[str]:
    """Product code may not replace what other modules and classes of others hold."""
    for path in review.modules:
        modules = _imported(review.modules[path])
        for node in review.nodes(path):
            for target in _targets(node):
                name = _root(target)
                if name in modules and not _is_stream(target):
                    yield f"{path} replaces {ast.unparse(target)[:60]} for everybody"
            match node:
                case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[owner, *_]):
                    if _root(owner) in modules:
                        yield f"{path} replaces something of {ast.unparse(owner)[:60]}"
                case ast.Attribute(value=owner, attr="__dict__") if _root(owner) in modules:
                    yield f"{path} reaches into {ast.unparse(owner)[:60]}"
                case ast.Call(func=ast.Name(id="vars"), args=[owner]) if _root(owner) in modules:
                    yield f"{path} reaches into {ast.unparse(owner)[:60]}"


def assembled_names(review: Review) -> Iterator[str]:
    """A name that is put together from pieces is judged as what it comes to."""
    names = RUNNERS | {target.split("::")[-1].split("[")[0] for target in review.targets}
    for path in review.modules:
        for node in review.nodes(path):
            value = _assembled(review, path, node)
            if value in names or any(pattern.search(value) for pattern in TELLING):
                yield f"{path} hides the name {value[:60]!a}"


def _assembled(review: Review, path: str, node: ast.AST) -> str:
    """The text that an expression comes to, if its lines do not hold that text as it is."""
    if not isinstance(node, ast.BinOp | ast.JoinedStr | ast.Call | ast.Subscript | ast.Constant):
        return ""
    try:
        value = constant(node)
    except UnknownError:
        return ""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if not isinstance(text, str) or "\n" in text:
        return ""
    lines = review.added[path]
    written = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return "" if any(text in lines.get(number, "") for number in written) else text


def reading_tests(review: Review) -> Iterator[str]:
    """Product code does not name the files of the tests, to read or to write them."""
    for path in review.modules:
        documented = review.documentation(path)
        for node in review.nodes(path):
            match node:
                case ast.Constant(value=str() as text, lineno=number) if number not in documented:
                    if TEST_FILES.search(text):
                        yield f"{path} names test files: {text[:60]!a}"


def hidden_code(review: Review) -> Iterator[str]:
    """Code and values must be readable where they are used, not be decoded from something."""
    for path in review.modules:
        aliases = _aliases(review.modules[path], {"importlib", "builtins"})
        for node in review.nodes(path):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Name(id=name) if name in RUNNERS:
                    yield f"{path} runs code that it makes: {ast.unparse(node)[:60]}"
                case ast.Name(id=name) if name in aliases and not _plain(node):
                    yield f"{path} imports what it does not name: {ast.unparse(node)[:60]}"
                case ast.Name(id="type") if len(node.args) == 3:
                    yield f"{path} makes a class at run time: {ast.unparse(node)[:60]}"
                case ast.Attribute(attr=attr) if attr in DECODERS and _decodes_constant(node):
                    yield f"{path} decodes a value that is written in it: {ast.unparse(node)[:60]}"


def _plain(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant)


def _decodes_constant(call: ast.Call) -> bool:
    try:
        value = constant(call.args[0]) if call.args else ""
    except UnknownError:
        return False
    return isinstance(value, str | bytes) and len(value) > 4


def _aliases(tree: ast.Module, modules: set[str]) -> set[str]:
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in modules
        for alias in node.names
    }


def _imported(tree: ast.Module) -> set[str]:
    """Names that stand for something of the standard library or of the test machinery."""
    foreign = sys.stdlib_module_names | TEST_MACHINERY
    names = {"AssertionError", "__builtins__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in foreign:
                    names.add(alias.asname or alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and not node.level:
            if (node.module or "").split(".")[0] in foreign:
                names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign) and _root(node.value) in names:
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _targets(node: ast.AST) -> list[ast.expr]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        targets = [node.target]
    flat = [part for target in targets for part in getattr(target, "elts", [target])]
    return [target for target in flat if isinstance(target, ast.Attribute)]


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_stream(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and target.attr in STREAMS
