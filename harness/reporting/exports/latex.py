r"""LaTeX: tables in booktabs' style, and a macro for every number, `\harness{rnn_clip/claim1/estimate}`."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, starmap

from harness.inference.verdict import Verdict
from harness.reporting.page.content import Table
from harness.reporting.page.words import interval, mark, metric_of, number, word
from harness.settings.show import level_text

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    '"': r"{\char34}", "`": r"\textasciigrave{}",
    "–": "--", "—": "---", "“": "``", "”": "''", "’": "'", "…": r"\dots{}", "·": r"\textperiodcentered{}", "\u00a0": "~", "\n": " ",
}  # fmt: skip
"""What a character is in text mode."""

JOINED = "-',"
"""Characters of which TeX makes another one where two follow each other."""

MATHS = {
    "−": "-", "∞": r"\infty", "×": r"\times", "±": r"\pm", "≤": r"\le", "≥": r"\ge", "≈": r"\approx", "→": r"\to", "‖": r"\|",
    "∂": r"\partial", "√": r"\surd", "Σ": r"\Sigma", "Δ": r"\Delta", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma",
    "δ": r"\delta", "ε": r"\varepsilon", "θ": r"\theta", "λ": r"\lambda", "μ": r"\mu", "ρ": r"\rho", "σ": r"\sigma", "φ": r"\varphi",
}  # fmt: skip
"""What a character is in math mode. Others that are not ASCII stay as they are, for which XeLaTeX or LuaLaTeX may be needed."""

POWER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-]?)0*(\d+)(?![\w.])")

MINUS = re.compile(r"(?<![\w.)\]-])-(?=\.?\d)")

HEAD = r"""% Every number and verdict of the study, for a text: \input this file, then write \harness{NAME}.
% Written by the report, which overwrites it. NAME as below; cells are numbered as in summary.parquet.
\providecommand{\harness}[1]{\ifcsname harness/#1\endcsname\csname harness/#1\endcsname
  \else\PackageError{harness}{There is no number `#1'}{The file with the numbers lists them all.}\fi}
\providecommand{\harnessnumber}[2]{\expandafter\def\csname harness/#1\endcsname{#2}}
"""

TABLE = "% Needs \\usepackage{booktabs}; \\input it inside a table. Written by the report, which overwrites it.\n"


def escaped(text: str) -> str:
    r"""Text as LaTeX sets it, whatever it holds; a power of ten as one.

    >>> print(escaped("50 % of a_b: −∞, 1.2e-05"))
    50 \% of a\_b: \ensuremath{-}\ensuremath{\infty}, \ensuremath{1.2\times 10^{-5}}
    """
    text, parts, end = MINUS.sub("−", text), [], 0
    for power in POWER.finditer(text):
        digits, sign, exponent = power.groups()
        parts += [
            _characters(text[end : power.start()]),
            f"\\ensuremath{{{digits}\\times 10^{{{sign.strip('+')}{exponent}}}}}",
        ]
        end = power.end()
    return "".join([*parts, _characters(text[end:])])


def _characters(text: str) -> str:
    shown = [char if char.isprintable() or char in SPECIAL else " " for char in text]
    return "".join(starmap(_character, pairwise([*shown, ""])))


def _character(char: str, following: str) -> str:
    if char in MATHS:
        return f"\\ensuremath{{{MATHS[char]}}}"
    return f"{char}{{}}" if char == following and char in JOINED else SPECIAL.get(char, char)


def macros(numbers: Mapping[str, str]) -> str:
    r"""A file that defines a macro for each number.

    Args:
        numbers: name → text; names are of characters that mean nothing to TeX within `\csname`.
    """
    return HEAD + "".join(f"\\harnessnumber{{{name}}}{{{escaped(text)}}}\n" for name, text in numbers.items())


def table(content: Table) -> str:
    """A `tabular` with rules above, below and under the head."""
    columns = "l" * len(content.head)
    rows = [[escaped(text) for text in row] for row in [content.head, *content.rows]]
    head, *body = (f"  {{}}{' & '.join(row)} \\\\\n" for row in rows)  # {}: a bracket would belong to the \\ before it
    return f"{TABLE}\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n  \\toprule\n{head}  \\midrule\n{''.join(body)}  \\bottomrule\n\\end{{tabular}}\n"


def claims_table(verdicts: Sequence[Verdict]) -> str:
    """A row per claim, and one for its registered form where that was another."""
    rows = [row for v in verdicts for row in (_claim(v), *([_claim(v.was, "as it was: ")] if v.was else []))]
    return table(Table(["claim", "verdict", "metric", "Δ [interval]", "level", "δ", "n"], rows))


def _claim(verdict: Verdict, of: str = "") -> list[str]:
    marked = f" ({mark(verdict)})" if mark(verdict) else ""
    level = "–" if verdict.level is None else f"{level_text(verdict.level)} %"
    return [
        of + verdict.title, word(verdict) + marked, metric_of(verdict), interval(verdict), level,
        number(verdict.smallest_effect), str(verdict.n),
    ]  # fmt: skip
