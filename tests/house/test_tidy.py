"""The rules of the house that no linter knows. Each message says the better way."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
LINES_PER_FUNCTION = 70
LINES_PER_FILE = 500
SOURCES = sorted(SRC.rglob("*.py"))
PYTHON = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")])
C_SOURCES = sorted([*SRC.rglob("*.c"), *SRC.rglob("*.h")])

# These may let real time pass; everything else waits through them or on a fake clock.
MAY_SLEEP = {"tests/waiting.py"}
SQL_HOMES = ("src/counterfoil/db/", "src/counterfoil/dataplane/scan")
VAGUE_NAMES = {"common", "helper", "helpers", "manager", "misc", "util", "utils"}

# Two ways SQL is written: all capitals or all small, and prose is neither. What follows the verb tells it from a word.
SQL = re.compile(
    r"""\b(?:
        SELECT\s+\S.*\sFROM\b |
        select\s+\S.*\sfrom\s*(?:$ | ["{a-z_]+\s*(?:$|,|\)|where|order|group|join|limit)) |
        (?i:insert\s+into\s+["{\w] | delete\s+from\s+["{\w]) |
        (?:UPDATE|update)\s+["{\w.}]+\s+(?:SET|set)\s+["{\w] .*= |
        (?i:(?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+|unique\s+)?(?:table|view|index|trigger)\s+["{\w]) |
        (?i:copy\s*\(.+\)\s*to\b)
    )|^\s*(?i:pragma)\s+\w""",
    re.VERBOSE | re.DOTALL,
)
# Written in pieces, so that this file keeps the rule itself.
INDEX_HOSTS = re.compile(
    "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.(?:org|com)", "yarn" + r"pkg\.com"])
)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:ro" + r"ot|wo" + r"rk|Us" + r"ers|ho" + r"me/\w+)/\w")
LOOSE_END = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME)\b(?!.{0,3}#\d)")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=_name(path))


@cache
def _nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(path)))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in _nodes(path) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@cache
def _tracked() -> list[tuple[str, str]]:
    """Every text file that git tracks, with its text."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files: list[tuple[str, str]] = []
    for name in filter(None, names.split("\0")):
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data[:8192]:
            files.append((name, data.decode("utf-8", errors="replace")))
    return files


def _lines_matching(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:160]}"
        for name, text in _tracked()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def _complain(found: list[str], better_way: str) -> None:
    if found:
        pytest.fail(better_way + "\n  " + "\n  ".join(found), pytrace=False)


def test_functions_are_short() -> None:
    found = [
        f"{_name(path)}:{node.lineno}: {node.name} has {lines} lines"
        for path in PYTHON
        for node in _functions(path)
        if (lines := (node.end_lineno or 0) - node.lineno + 1) > LINES_PER_FUNCTION
    ]
    _complain(found, f"A function has at most {LINES_PER_FUNCTION} lines: give a step of it a name of its own.")


def test_files_are_short() -> None:
    found = [
        f"{_name(path)} has {lines} lines"
        for path in [*PYTHON, *C_SOURCES]
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LINES_PER_FILE
    ]
    _complain(found, f"A file has at most {LINES_PER_FILE} lines: find the second noun in it and move that out.")


def test_files_are_named_by_what_they_own() -> None:
    found = [_name(path) for path in PYTHON if VAGUE_NAMES & {path.stem, *path.relative_to(ROOT).parts}]
    _complain(found, "A module is named by the one noun it owns; these names own everything.")


def test_sql_lives_in_its_homes() -> None:
    found = [
        f"{_name(path)}:{node.lineno}: {node.value.strip()[:80]!r}"
        for path in SOURCES
        if not _name(path).startswith(SQL_HOMES)
        for node in _strings(path)
        if SQL.search(node.value)
    ]
    _complain(
        found, "SQL is written in db/ and dataplane/scan only: add a function there that takes values and gives rows."
    )


def _strings(path: Path) -> Iterator[ast.Constant]:
    """The string literals of a module, docstrings left out, each part of an f-string by itself."""
    tree = _tree(path)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM b",
        "select a, b from cards where x = ?",
        'with t as (select 1 from "x") select * from t',
        "insert into cards values (1)",
        "UPDATE exports SET status = ?",
        "delete from cards",
        "create temp table x (a int)",
        "copy (select 1) to 'x.csv'",
        "PRAGMA journal_mode = wal",
    ],
)
def test_sql_is_known_when_seen(text: str) -> None:
    assert SQL.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "Select a voucher from the list",
        "the month to select from",
        "Update the set of fields",
        "Create tables of cards",
        "copy to",
    ],
)
def test_prose_is_not_sql(text: str) -> None:
    assert not SQL.search(text)


def test_public_things_are_explained() -> None:
    promised = _promised_methods()
    found = [
        f"{_name(path)}:{getattr(node, 'lineno', 1)}: {name}"
        for path in SOURCES
        for name, node in _public_things(path)
        if ast.get_docstring(node) is None and name.rpartition(".")[2] not in promised
    ]
    _complain(found, "A public thing has a docstring that gives shapes, units and errors; or begin its name with _.")


def _promised_methods() -> set[str]:
    """Methods that a Protocol of ours explains: who keeps the promise need not repeat the words."""
    return {
        method.name
        for path in SOURCES
        for node in _nodes(path)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for method in node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(method)
    }


def _public_things(
    path: Path,
) -> Iterator[tuple[str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    tree = _tree(path)
    if tree.body:
        yield "the module", tree
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        if _is_overload(node):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef) and not _is_shaped_by_others(node):
            for method in node.body:
                if (
                    isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
                    and not method.name.startswith("_")
                    and not _is_overload(method)
                ):
                    yield f"{node.name}.{method.name}", method


def _is_shaped_by_others(node: ast.ClassDef) -> bool:
    """Whether its methods are named and explained by a library's base class."""
    return bool(node.bases) and not any(re.search("Protocol|Error|Enum", ast.unparse(base)) for base in node.bases)


def _is_overload(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(ast.unparse(decorator).endswith(("overload", ".setter")) for decorator in node.decorator_list)


def test_tests_do_not_sleep() -> None:
    found = [
        f"{_name(path)}:{node.lineno}"
        for path in PYTHON
        if _name(path).startswith("tests/") and _name(path) not in MAY_SLEEP
        for node in _nodes(path)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep", "asyncio.sleep")
    ]
    _complain(
        found, "A test does not sleep: use the `clock` fixture, wait on an event, or poll with tests.waiting.until."
    )


def test_loose_ends_have_an_issue() -> None:
    _complain(_lines_matching(LOOSE_END), "A loose end names its issue, as in #12, or is tied now.")


def test_no_package_index_is_named() -> None:
    _complain(
        _lines_matching(INDEX_HOSTS),
        "Where packages come from is the reader's business: `make lock` writes locks without it.",
    )


def test_no_machine_is_named() -> None:
    _complain(
        _lines_matching(MACHINE_PATHS), "A path of one machine is of no use on another: make it relative or a setting."
    )


def test_no_module_is_dead() -> None:
    """Each module is reached from an entry point: the scripts of pyproject.toml and what the database tool loads by path."""
    modules = {_module(path): path for path in SOURCES}
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    waiting = [entry.partition(":")[0] for entry in scripts.values()]
    if any("main" not in modules[name].read_text() for name in waiting):
        return  # the command line is not written yet, so nothing can be reached from it
    waiting += [name for name in modules if ".migrations" in name or name.endswith(".__main__")]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in modules and name not in reached:
            reached.add(name)
            waiting += [name.rpartition(".")[0], *_imports(modules[name])]
    found = [_name(path) for name, path in modules.items() if name not in reached and path.name != "__init__.py"]
    _complain(found, "Nothing leads here from `counterfoil`: wire it in, or delete it.")


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> Iterator[str]:
    """The modules that a file may import, late imports too; `from a import b` gives both `a` and `a.b`."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
