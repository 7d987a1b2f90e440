"""What a function does, as text: its syntax without positions, comments and docstrings, or else its bytecode.

The syntax is read from the file only where that file, as it is now, compiles to the very code that runs: a file may have been
edited since it was imported.
"""

import ast
import dis
import linecache
import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from torch.utils.weak import WeakIdKeyDictionary

HAS_DOCSTRING = 0x4000000
"""Of `co_flags`, from Python 3.14 on."""

NAMING = ("_GLOBAL", "_GLOBALS", "_NAME")
"""Ends of the names of instructions that may use a global name."""


@dataclass(frozen=True)
class Import:
    """A statement in a function that imports a module: its name, and how many packages up that starts."""

    name: str
    level: int


@dataclass(frozen=True)
class Body:
    """What a function does: as text, the global names that it uses and what it imports."""

    text: str
    names: tuple[str, ...]
    imports: tuple[Import, ...]


_bodies: MutableMapping[CodeType, Body] = WeakIdKeyDictionary()  # by identity: equal bytecode may be of other syntax


def body_of(code: CodeType) -> Body:
    """See `Body`; read when first asked for, before the file can be edited."""
    if code not in _bodies:
        instructions = list(_instructions(code))
        names = dict.fromkeys(i.argval for i in instructions if i.opname.endswith(NAMING) and i.opname != "IMPORT_NAME")
        node = _node(code)
        text = _compiled(code) if node is None else text_of(node)
        _bodies[code] = Body(text, tuple(names), tuple(_imports(instructions)))
    return _bodies[code]


def file_text(path: str) -> str:
    """What a Python file says, likewise; its text as it is where it cannot be parsed."""
    linecache.checkcache(path)
    source = "".join(linecache.getlines(path))
    try:
        return text_of(ast.parse(source))
    except (SyntaxError, ValueError):
        return source


def text_of(node: Any) -> str:
    """A syntax tree as text, the same in every version of Python that has its kinds of nodes."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        texts = (f"{name}={text_of(_undocumented(node, name, value))}" for name, value in fields)
        return f"{type(node).__name__}({', '.join(texts)})"
    if isinstance(node, list):
        return f"[{', '.join(map(text_of, node))}]"
    return repr(node)


def _undocumented(node: ast.AST, name: str, value: Any) -> Any:
    """The value of a node's field: of a body without its docstring."""
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and name == "body"
    if documented and isinstance(first := value[0], ast.Expr) and isinstance(first.value, ast.Constant):
        return (value[1:] or [ast.Pass()]) if isinstance(first.value.value, str) else value
    return value


def _node(code: CodeType) -> ast.AST | None:
    """The function in its file that compiles to this code; None where there is none, or not only one."""
    linecache.checkcache(code.co_filename)
    codes, nodes = _functions(code.co_filename, "".join(linecache.getlines(code.co_filename)))
    if code not in codes:
        return None
    found = [node for node in nodes.get(code.co_firstlineno, ()) if getattr(node, "name", "<lambda>") == code.co_name]
    if len(found) > 1:  # lambdas of one line
        positions = set(code.co_positions())
        found = [node for node in found if _position(getattr(node, "body", None)) in positions]
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=64)
def _functions(path: str, source: str) -> tuple[set[CodeType], dict[int, list[ast.AST]]]:
    """The code of every function of a file, and the functions by their first lines."""
    try:
        tree = ast.parse(source)
        module = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return set(), {}
    nodes: dict[int, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            decorators = getattr(node, "decorator_list", ())
            nodes.setdefault(min([node.lineno, *(d.lineno for d in decorators)]), []).append(node)
    return set(_with_inner(module)), nodes


def _position(node: Any) -> tuple[Any, ...] | None:
    return (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset) if isinstance(node, ast.expr) else None


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of all that are defined in it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _with_inner(const)


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    for inner in _with_inner(code):
        yield from (i for i in dis.get_instructions(inner) if i.opname != "EXTENDED_ARG")


def _imports(instructions: list[dis.Instruction]) -> Iterator[Import]:
    for i, instruction in enumerate(instructions):
        if instruction.opname == "IMPORT_NAME":
            yield Import(instruction.argval, int(instructions[i - 2].argval))  # after the level and the names


def _compiled(code: CodeType) -> str:
    """The bytecode of a function, stable within a version of Python."""
    constants = list(code.co_consts)
    if constants and isinstance(constants[0], str) and _documented(code):
        constants[0] = None
    return repr((sys.version_info[:2], code.co_code, code.co_names, code.co_varnames, list(map(_constant, constants))))


def _documented(code: CodeType) -> bool:
    """Whether its first constant, a text, is its docstring."""
    if sys.version_info >= (3, 14):
        return bool(code.co_flags & HAS_DOCSTRING)
    return not code.co_name.startswith("<")


def _constant(value: Any) -> str:
    """A constant of bytecode; sets have an order that differs between processes."""
    if isinstance(value, CodeType):
        return _compiled(value)
    if isinstance(value, tuple | frozenset):
        parts = list(map(_constant, value))
        return f"{type(value).__name__}({parts if isinstance(value, tuple) else sorted(parts)})"
    return repr(value)
