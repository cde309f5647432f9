"""
``python -m dev.mutation``, which ``make mutate`` runs: the score of each module that mutmut has changed line by line.

A mutant is one change. It is killed if a test fails with it, and survives if none does. The score is the share of those
that were killed; survivors that no test can kill are listed here, and stay in the count.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

#: Where mutmut leaves the changed modules, and beside each of them what became of its mutants.
MUTANTS = Path("mutants")

#: The least score of each module, in percent.
LEAST_SCORE = 90

#: Exit codes of pytest, and of mutmut's watch over the time, with which a mutant is killed.
KILLED = {1, 3, 24, 36, 152, 255, -24}

#: Changed lines with which a module does the same, and why.
EXPLAINED = {
    "new = StreamRow(label=label, fingerprint=output.fingerprint, state='XXXX', first_at=at, last_at=at)": (
        "no state has this name either, and the next line sets it"
    ),
    "return [*items[1 - bound:], item] if len(items) >= bound or True else [*items, item]": (
        "a list that is shorter than its bound is not cut by it"
    ),
    "return randomness.token_urlsafe(None)": "None means 32 bytes, too",
    "return json.dumps(content, ensure_ascii=None, separators=(',', ':')).encode()": "None counts as False",
    "return token.decode('ASCII').rstrip('=')": "the same codec",
    "return hmac.digest(secret_key.encode(), text.encode(), 'SHA256').hex()": "the same hash",
    "host = ''": "a host that is empty is refused like one that is missing",
    "with suppress(ValueError):": "OverflowError comes only where C's time_t has fewer than 64 bits",
    "if not set(marks) | set(job.refreshes):": "what follows changes nothing if no mark is known",
}


@dataclass(frozen=True)
class Module:
    """
    What became of the mutants of a module.

    :param name: its path below the package.
    :param mutants: how many were tried.
    :param survivors: the changed lines of those that no test noticed, as a diff.
    """

    name: str
    mutants: int
    survivors: tuple[tuple[str, ...], ...]

    @property
    def score(self) -> float:
        """The share that was killed, in percent."""
        return 100 * (self.mutants - len(self.survivors)) / self.mutants

    def row(self) -> str:
        """Return a row of the table in CONTRIBUTING."""
        return (
            f"| `{self.name}` | {self.mutants} | {self.mutants - len(self.survivors)} | {self.score:.1f} % |"
        )


def read(mutants: Path) -> list[Module]:
    """Return the modules of which mutants were tried, in the order of their names."""
    found = []
    for results in sorted(mutants.rglob("*.py.meta")):
        exit_codes: dict[str, int | None] = json.loads(results.read_text("utf-8"))["exit_code_by_key"]
        tried = {key: code for key, code in exit_codes.items() if code is not None}
        if tried:
            path = results.with_suffix("")
            functions = _functions(path.read_text("utf-8"))
            survivors = [
                _change(functions, key.rpartition(".")[2])
                for key, code in tried.items()
                if code not in KILLED
            ]
            name = "/".join(path.relative_to(mutants).parts[1:])
            found.append(Module(name, len(tried), tuple(survivors)))
    return found


def _functions(source: str) -> dict[str, list[str]]:
    """Return the lines of each function and method, with its own name left out."""
    return {
        node.name: ast.unparse(node).replace(node.name, "_").splitlines()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _change(functions: dict[str, list[str]], mutant: str) -> tuple[str, ...]:
    original = f"{mutant.rpartition('__mutmut_')[0]}__mutmut_orig"
    diff = difflib.unified_diff(functions[original], functions[mutant], lineterm="", n=0)
    return tuple(line for line in diff if not line.startswith(("---", "+++", "@@")))


def _explanation(change: tuple[str, ...]) -> str | None:
    return next((EXPLAINED[line[1:].strip()] for line in change if line[1:].strip() in EXPLAINED), None)


def main(mutants: Path = MUTANTS) -> int:
    """Print the table and the survivors, and return 1 if a module is below :data:`LEAST_SCORE`, or none was tried."""
    modules = read(mutants)
    print("| module | mutants | killed | score |\n|---|---|---|---|")
    for module in modules:
        print(module.row())
    for module in modules:
        for change in module.survivors:
            print(f"\n{module.name}: {_explanation(change) or 'a test is missing'}")
            print("\n".join(change))
    return int(not modules or any(module.score < LEAST_SCORE for module in modules))


if __name__ == "__main__":
    sys.exit(main())
