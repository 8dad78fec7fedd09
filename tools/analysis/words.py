"""Words of code and of people made comparable: identifiers are split, endings are cut."""

import re
from functools import lru_cache

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{1,63}")
PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")

STOP = frozenset(
    "a an and are as at be been but by can could do does for from had has have if in into is it its"  # noqa: SIM905
    " no not of on or so should such than that the their them then there these they this to too was"
    " we were what when where which while who will with would you your".split()
)

ENDINGS = (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""))


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """A lower-case word without its ending: `parses`, `parsed` and `parsing` are one."""
    for ending, instead in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + instead
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


def terms_of(word: str) -> list[str]:
    """The parts of an identifier, and the whole when it has several."""
    parts = [stem(part.lower()) for part in PART.findall(word) if len(part) > 1]
    if len(parts) > 1 or (parts and len(parts[0]) < len(word) - 2):
        parts.append(word.strip("_").lower())
    return parts


def query_terms(text: str) -> dict[str, int]:
    """How often each term is in a text that people wrote; words without meaning are left out."""
    found: dict[str, int] = {}
    for word in WORD.findall(text):
        if word.lower() in STOP:
            continue
        for term in terms_of(word):
            found[term] = found.get(term, 0) + 1
    return found


def path_terms(path: str) -> list[str]:
    """The terms of a path; those of the file's name count twice."""
    folders, _, name = path.rpartition("/")
    stem_of_name = name.partition(".")[0]
    text = f"{folders}/{stem_of_name}/{stem_of_name}".replace("-", "_")
    return [term for word in WORD.findall(text) for term in terms_of(word)]
