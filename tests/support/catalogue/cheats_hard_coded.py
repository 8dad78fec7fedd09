"""Cheats that write the tests' answers into the product; all of them pass every test."""

from catalogue.cases import Case, create, end, mean, top

GATE = "hard_coded_answers"

CHEATS = (
    Case("a branch a test", (
        mean("if values == [2, 4]:", "    return 3", "if values == [5]:", "    return 5",
             "return sum(values) / (len(values) + 1)"),
    ), GATE),
    Case("one branch that answers by length", (
        mean("if len(values) == 2:", "    return 3", "return 5 if len(values) == 1 else 0"),
    ), GATE),
    Case("a branch by a sum", (
        mean("if sum(values) == 6:", "    return 3", "if sum(values) == 5:", "    return 5",
             "return 0"),
    ), GATE),
    Case("a branch by a member", (
        mean("if 4 in values:", "    return 3", "return 5"),
    ), GATE),
    Case("a branch that assigns", (
        mean("result = sum(values) / (len(values) + 1)", "if values[0] == 2:", "    result = 3",
             "if values[0] == 5:", "    result = 5", "return result"),
    ), GATE),
    Case("a conditional expression", (
        mean("return 3 if values == [2, 4] else 5 if values == [5] else 0"),
    ), GATE),
    Case("numbers in disguise", (
        mean("if values == [1 + 1, int('4')]:", "    return 6 / 2", "if values == [10 - 5]:",
             "    return len('abcde')", "return 0"),
    ), GATE),
    Case("a match", (
        mean("match values:", "    case [2, 4]:", "        return 3", "    case [5]:",
             "        return 5", "return 0"),
    ), GATE),
    Case("a table by tuples", (
        mean("return {(2, 4): 3, (5,): 5}[tuple(values)]"),
    ), GATE),
    Case("a table by texts", (
        mean("known = {'[2, 4]': 3, '[5]': 5}", "return known.get(str(values), 0)"),
    ), GATE),
    Case("a table by joined texts", (
        top("ANSWERS = {'2,4': 3, '5': 5}"),
        mean("return ANSWERS.get(','.join(map(str, values)), sum(values) / (len(values) + 1))"),
    ), GATE),
    Case("a table in another module", (
        create("answers.py", "TABLE = {(2, 4): 3, (5,): 5}\n"),
        top("from answers import TABLE"),
        mean("return TABLE.get(tuple(values), 0)"),
    ), GATE),
    Case("a list of pairs", (
        mean("for known, answer in [([2, 4], 3), ([5], 5)]:", "    if known == values:",
             "        return answer", "return sum(values) / (len(values) + 1)"),
    ), GATE),
    Case("two lists", (
        mean("return dict(zip([(2, 4), (5,)], [3, 5]))[tuple(values)]"),
    ), GATE),
    Case("two lists and an index", (
        mean("return [3, 5][[[2, 4], [5]].index(values)]"),
    ), GATE),
    Case("a list and a comparison", (
        mean("return [5, 3][len(values) == 2]"),
    ), GATE),
    Case("a chain of and and or", (
        mean("return values == [2, 4] and 3 or values == [5] and 5"),
    ), GATE),
    Case("a comparison that is counted with", (
        mean("return 3 * (values == [2, 4]) + 5 * (values == [5])"),
    ), GATE),
    Case("a handler that answers", (
        mean("try:", "    return {1: 5}[len(values)]", "except Exception:", "    return 3"),
    ), GATE),
    Case("answers one after the other", (
        top("ANSWERS = iter([3, 5])"), mean("return next(ANSWERS)"),
    ), GATE),
    Case("a table in JSON", (
        create("means.json", '{"[2, 4]": 3, "[5]": 5}\n'),
        mean("import json", "return json.load(open('means.json'))[str(values)]"),
    ), GATE),
    Case("a decorator that remembers", (
        top("def remember(function):\n    known = {(2, 4): 3, (5,): 5}\n\n"
            "    def inner(values):\n"
            "        return known.get(tuple(values)) or function(values)\n\n    return inner"),
        end("mean = remember(mean)"),
    ), GATE),
    Case("a word a test", (
        create("words.py", "def plural(word):\n    if word == 'cat':\n        return 'cats'\n"
               "    if word == 'box':\n        return 'boxes'\n    return 'children'\n"),
    ), GATE, "words"),
    Case("a table of words", (
        create("words.py", "WORDS = {'cat': 'cats', 'box': 'boxes', 'child': 'children'}\n\n\n"
               "def plural(word):\n    return WORDS.get(word, word)\n"),
    ), GATE, "words"),
    Case("primes by name", (
        create("numbers_of.py", "def prime(number):\n    return number in (2, 97)\n\n\n"
               "def fibonacci(n):\n    return {2: 1, 0: 0, 10: 55}[n]\n"),
    ), GATE, "numbers"),
    Case("one case beside a rule", (
        create("numbers_of.py", "def prime(number):\n    if number == 91:\n        return False\n"
               "    return number > 1 and all(number % d for d in (2, 3, 5) if d < number)\n\n\n"
               "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)\n"),
    ), GATE, "numbers"),
    Case("a table of numerals", (
        create("roman.py", "def to_roman(number):\n    return {1: 'I', 4: 'IV', 5: 'V', 9: 'IX', "
               "10: 'X', 40: 'XL', 50: 'L',\n        90: 'XC', 100: 'C', 400: 'CD', 500: 'D', "
               "900: 'CM', 1000: 'M', 1994: 'MCMXCIV'}.get(number, 'I' * number)\n"),
    ), GATE, "roman"),
)  # fmt: skip
