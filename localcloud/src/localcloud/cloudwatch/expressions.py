"""Metric math: the arithmetic of dashboards and alarms over time series.

The language is close enough to Python's expressions for Python's own parser to read it. What is
not named here is refused by name when it is written, not when it is evaluated.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localcloud.cloudwatch.errors import ValidationError

Series = dict[int, float]
"""Values by the beginnings of their periods."""
Value = float | Series | list[Series]

_ARITHMETIC: dict[type[ast.AST], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.AST], Callable[[float, float], bool]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_OVER_TIME: dict[str, Callable[[list[float]], float]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
_EACH: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
}
_FUNCTIONS = (*_OVER_TIME, *_EACH, "FILL", "IF", "METRICS", "PERIOD")
_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class Expression:
    """One expression; `names` are the queries that it reads, all of them where it says METRICS."""

    text: str
    tree: ast.expr
    names: frozenset[str]
    all_metrics: bool

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read an expression, or raise ValidationError naming what cannot be evaluated."""
        python = text.replace("&&", " and ").replace("||", " or ").replace("^", "**")
        python = re.sub(r"\bAND\b", "and", re.sub(r"\bOR\b", "or", python))
        try:
            tree = ast.parse(python.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValidationError(
                f"Error in expression {text[:80]!r}: it cannot be read"
            ) from error
        names = set()
        functions = set()
        for node in ast.walk(tree):
            _refuse_unknown(node, text)
            if isinstance(node, ast.Call):
                functions.add(node.func.id)  # type: ignore[attr-defined]
            elif isinstance(node, ast.Name) and _ID.fullmatch(node.id):
                names.add(node.id)
        return cls(text, tree, frozenset(names), "METRICS" in functions)

    def evaluate(
        self, series: Mapping[str, Series], metrics: list[Series], grid: list[int], period: int
    ) -> Series:
        """The values of the expression at the times of `grid`, or fewer where data lacks.

        `series` are those of the queries that it names, `metrics` what METRICS() stands for.
        """
        found = _Evaluation(self.text, series, metrics, grid, period).value(self.tree)
        if isinstance(found, list):
            raise ValidationError(
                f"Error in expression {self.text[:80]!r}: it gives several time series, not one"
            )
        return found if isinstance(found, dict) else dict.fromkeys(grid, found)


def _refuse_unknown(node: ast.AST, text: str) -> None:
    """Raise ValidationError for a node that is not of the language."""
    told = f"Error in expression {text[:80]!r}:"
    match node:
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            return
        case ast.Call():
            called = ast.unparse(node.func)[:40]
            raise ValidationError(
                f"{told} localcloud does not evaluate {called}; it knows {', '.join(_FUNCTIONS)}"
            )
        case ast.Name(id=name):
            if not (_ID.fullmatch(name) or name in _FUNCTIONS or name == "REPEAT"):
                raise ValidationError(f"{told} {name!r} is not the id of a query")
        case ast.Constant(value=int() | float()):
            return
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            return
        case ast.Compare(ops=[op]) if type(op) in _COMPARISONS:
            return
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()) | ast.BoolOp() | ast.List():
            return
        case ast.expr():
            raise ValidationError(f"{told} localcloud does not evaluate {ast.unparse(node)[:40]}")


class _Evaluation:
    """One expression over one stretch of time."""

    def __init__(
        self,
        text: str,
        series: Mapping[str, Series],
        metrics: list[Series],
        grid: list[int],
        period: int,
    ) -> None:
        self._text = text
        self._metrics = metrics
        self._series = series
        self._grid = grid
        self._period = period

    def value(self, node: ast.expr) -> Value:  # noqa: PLR0911 - one for each kind of node
        match node:
            case ast.Constant(value=number):
                return float(number)  # type: ignore[arg-type]
            case ast.Name(id=name):
                if name not in self._series:
                    raise self._error(f"there is no query with the id {name!r}")
                return self._series[name]
            case ast.List(elts=elements):
                return [self._one_series(element) for element in elements]
            case ast.UnaryOp(op=op, operand=operand):
                sign = -1.0 if isinstance(op, ast.USub) else 1.0
                return self._combined(operator.mul, sign, self.value(operand))
            case ast.BinOp(left=left, op=op, right=right):
                return self._combined(_ARITHMETIC[type(op)], self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                compare = _COMPARISONS[type(op)]
                return self._combined(
                    lambda a, b: float(compare(a, b)), self.value(left), self.value(right)
                )
            case ast.BoolOp(op=op, values=values):
                every = isinstance(op, ast.And)
                found = self.value(values[0])
                for each in values[1:]:
                    found = self._combined(
                        lambda a, b: float((a and b) != 0 if every else (a or b) != 0),
                        found,
                        self.value(each),
                    )
                return found
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, arguments)
        raise self._error("it cannot be evaluated")

    def _call(self, name: str, arguments: list[ast.expr]) -> Value:
        wanted = {"IF": (2, 3), "FILL": (2, 2), "METRICS": (0, 0)}.get(name, (1, 1))
        if not wanted[0] <= len(arguments) <= wanted[1]:
            raise self._error(f"{name} takes {wanted[1]} arguments, not {len(arguments)}")
        if name == "METRICS":
            return list(self._metrics)
        if name == "PERIOD":
            return float(self._period)
        if name == "IF":
            return self._if(*arguments)
        if name == "FILL":
            return self._fill(self._one_series(arguments[0]), arguments[1])
        value = self.value(arguments[0])
        if name in _EACH:
            return self._combined(lambda a, _: float(_EACH[name](a)), value, 0.0)
        return self._reduced(_OVER_TIME[name], value)

    def _reduced(self, reduce: Callable[[list[float]], float], value: Value) -> Value:
        """Over time for one series; at each time over several."""
        if isinstance(value, list):
            moments = sorted({moment for each in value for moment in each})
            return {t: reduce([each[t] for each in value if t in each]) for t in moments}
        values = list(value.values()) if isinstance(value, dict) else [value]
        return reduce(values) if values else {}

    def _if(self, test: ast.expr, yes: ast.expr, no: ast.expr | None = None) -> Value:
        condition = self._spread(self.value(test))
        chosen = self._spread(self.value(yes))
        other = self._spread(self.value(no)) if no is not None else {}
        found: Series = {}
        for moment, truth in condition.items():
            source = chosen if truth else other
            if moment in source:
                found[moment] = source[moment]
        return found

    def _fill(self, series: Series, filling: ast.expr) -> Series:
        found: Series = {}
        repeat = isinstance(filling, ast.Name) and filling.id == "REPEAT"
        others = {} if repeat else self._spread(self.value(filling))
        last: float | None = None
        for moment in self._grid:
            last = series.get(moment, last if repeat else others.get(moment))
            if last is not None:
                found[moment] = last
        return found

    def _spread(self, value: Value) -> Series:
        if isinstance(value, list):
            raise self._error("several time series stand where one is wanted")
        return value if isinstance(value, dict) else dict.fromkeys(self._grid, value)

    def _one_series(self, node: ast.expr) -> Series:
        return self._spread(self.value(node))

    def _combined(
        self, combine: Callable[[float, float], float], left: Value, right: Value
    ) -> Value:
        """An operation on numbers, on a series and a number, or where both series have values."""
        if isinstance(left, list):
            return [self._spread(self._combined(combine, each, right)) for each in left]
        if isinstance(right, list):
            return [self._spread(self._combined(combine, left, each)) for each in right]
        if not isinstance(left, dict) and not isinstance(right, dict):
            found = self._number(combine, left, right)
            return {} if found is None else found
        first, second = self._spread(left), self._spread(right)
        pairs = {
            moment: self._number(combine, first[moment], second[moment])
            for moment in first
            if moment in second
        }
        return {moment: value for moment, value in pairs.items() if value is not None}

    @staticmethod
    def _number(
        combine: Callable[[float, float], float], left: float, right: float
    ) -> float | None:
        """A result that is a number; a division by nothing gives no value, as on AWS."""
        try:
            value = combine(left, right)
        except (ZeroDivisionError, OverflowError, ValueError):
            return None
        return float(value) if isinstance(value, float | int) and math.isfinite(value) else None

    def _error(self, words: str) -> ValidationError:
        return ValidationError(f"Error in expression {self._text[:80]!r}: {words}")
