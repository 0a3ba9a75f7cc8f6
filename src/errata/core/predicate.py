"""Text to tests: reads `city = "cairo" and age > 60.5` as written by `atoms`, and the habits of SQL beside it.

test   := all ("or" all)*            all := one ("and" one)*
one    := "not" one | "(" test ")" | column tail | value op column [op value]
tail   := op value | ["not"] "in" "(" value ("," value)* ")" | ["not"] "between" value "and" value
        | "is" ["not"] "null"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from errata.core.atoms import (
    KEYWORDS,
    MOST_DEPTH,
    And,
    Compare,
    Missing,
    Not,
    OneOf,
    Op,
    Or,
    Present,
    Test,
    Value,
    canonical,
    plain_value,
)  # fmt: skip
from errata.core.errors import UsageError

__all__ = ["MOST_CHARACTERS", "parse"]

MOST_CHARACTERS: Final = 1_000_000

_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
_DIGITS = r"(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,5})?"
_TOKEN = re.compile(
    rf"""\s*(?:
      (?P<date>{_DAY}(?:[T\ ]{_CLOCK})?)(?![\w.])
    | (?P<number>[+-]?(?:{_DIGITS}|inf(?=\W|$)))(?![\w.])
    | (?P<string>"(?:[^"\\]|\\.|"")*"|'(?:[^'\\]|\\.|'')*')
    | (?P<quoted>`(?:[^`\\]|\\.|``)*`)
    | (?P<word>[^\W\d]\w*(?:\.\w+)*)
    | (?P<op><=|>=|!=|<>|==|=|<|>)
    | (?P<mark>[(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_LETTERS = {"n": "\n", "r": "\r", "t": "\t"}
_SAME = {"==": "=", "<>": "!="}
_TURNED: Final[dict[str, str]] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class _Token:
    kind: str
    raw: str
    at: int


def parse(text: str) -> Test:
    """The test that a text describes, in canonical form. Raises UsageError that shows where reading stopped."""
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"A rule of {len(text):,} characters is not read: at most {MOST_CHARACTERS:,}.", hint="write a shorter one."
        )
    reader = _Reader(text, _tokens(text))
    test = reader.test(0)
    reader.end()
    return canonical(test)


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            stop = at + len(text[at:]) - len(text[at:].lstrip())
            raise _wrong(text, stop, "a column, a constant, or a comparison was expected",
                         hint=f'text needs both quotes, as in city = "cairo"; {_NAMES}')  # fmt: skip
        kind = cast(str, found.lastgroup)
        raw = found[kind]
        if kind == "word" and raw.lower() in KEYWORDS:
            kind, raw = ("number", "inf") if raw.lower() == "inf" else ("key", raw.lower())
        tokens.append(_Token(kind, raw, found.start(cast(str, found.lastgroup))))
        at = found.end()
    return tokens


_NAMES = "columns with spaces or signs stand in backticks, as in `mean radius` > 15."


def _wrong(text: str, at: int, expected: str, *, hint: str | None = None) -> UsageError:
    shown = text if len(text) <= 200 else text[max(0, at - 80) : at + 80]
    where = f"at `{text[at : at + 20]}`" if at < len(text) else "at its end"
    return UsageError(f"The rule `{shown}` cannot be read {where}: {expected}.", hint=hint or _NAMES)


def _unescape(raw: str) -> str:
    quote = raw[0]

    def one(found: re.Match[str]) -> str:
        code = found[1] or found[2]
        if code:
            number = int(code, 16)
            return chr(number) if number < 0x110000 else "\N{REPLACEMENT CHARACTER}"
        return _LETTERS.get(found[3], found[3])

    # Doubled quotes are read as one, but not the quote of an escape that stands before another quote.
    inner = re.sub(rf"(\\.)|{quote}{quote}", lambda found: found[1] or quote, raw[1:-1], flags=re.DOTALL)
    return _ESCAPED.sub(one, inner)


class _Reader:
    """Walks the tokens once, left to right."""

    def __init__(self, text: str, tokens: list[_Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._next = 0

    def _peek(self, ahead: int = 0) -> _Token:
        index = self._next + ahead
        return self._tokens[index] if index < len(self._tokens) else _Token("end", "", len(self._text))

    def _take(self, *, kind: str | None = None, raw: str | None = None, expected: str) -> _Token:
        token = self._peek()
        if (kind is not None and token.kind != kind) or (raw is not None and token.raw != raw):
            raise _wrong(self._text, token.at, expected)
        self._next += 1
        return token

    def _accept(self, kind: str, *raw: str) -> bool:
        token = self._peek()
        if token.kind == kind and token.raw in raw:
            self._next += 1
            return True
        return False

    def end(self) -> None:
        token = self._peek()
        if token.kind != "end":
            raise _wrong(self._text, token.at, "`and`, `or` or the end was expected")

    def test(self, depth: int) -> Test:
        if depth > MOST_DEPTH:
            raise UsageError(f"A rule nested more than {MOST_DEPTH} deep is not read.", hint="use fewer parentheses.")
        terms = [self._all(depth)]
        while self._accept("key", "or"):
            terms.append(self._all(depth))
        return Or(tuple(terms)) if len(terms) > 1 else terms[0]

    def _all(self, depth: int) -> Test:
        terms = [self._one(depth)]
        while self._accept("key", "and"):
            terms.append(self._one(depth))
        return And(tuple(terms)) if len(terms) > 1 else terms[0]

    def _one(self, depth: int) -> Test:
        if depth > MOST_DEPTH:
            raise UsageError(f"A rule nested more than {MOST_DEPTH} deep is not read.", hint="use fewer parentheses.")
        if self._accept("key", "not"):
            return Not(self._one(depth + 1))
        if self._accept("mark", "("):
            inner = self.test(depth + 1)
            self._take(raw=")", expected="`)` was expected")
            return inner
        if self._peek().kind in ("word", "quoted"):
            return self._tail(self._column())
        return self._turned()

    def _column(self) -> str:
        token = self._peek()
        if token.kind not in ("word", "quoted"):
            raise _wrong(self._text, token.at, "a column was expected")
        self._next += 1
        return _unescape(token.raw) if token.kind == "quoted" else token.raw

    def _tail(self, column: str) -> Test:
        if self._peek().kind == "op":
            return Compare(column, self._op(), self._value())
        if self._accept("key", "is"):
            negated = self._accept("key", "not")
            self._take(raw="null", expected="`null` was expected after `is`")
            return Present(column) if negated else Missing(column)
        negated = self._accept("key", "not")
        if self._accept("key", "in"):
            values = self._values()
            if not negated:
                return OneOf(column, values)
            return And(tuple(Compare(column, "!=", value) for value in values))
        if self._accept("key", "between"):
            low = self._value()
            self._take(raw="and", expected="`and` was expected between the two ends")
            high = self._value()
            if negated:
                return Or((Compare(column, "<", low), Compare(column, ">", high)))
            return And((Compare(column, ">=", low), Compare(column, "<=", high)))
        expected = f"a comparison was expected after the column `{column}`"
        examples = f"such as {column} = true, {column} > 3, {column} in (1, 2) or {column} is null; {_NAMES}"
        raise _wrong(self._text, self._peek().at, expected, hint=examples)

    def _turned(self) -> Test:
        """`60 < age`, or `20 < age <= 60`."""
        if self._peek().kind == "end":
            raise _wrong(self._text, self._peek().at, "a comparison was expected", hint='such as city = "cairo".')
        value = self._value()
        op = self._op()
        column = self._column()
        first = Compare(column, cast(Op, _TURNED[op]), value)
        if self._peek().kind != "op":
            return first
        return And((first, Compare(column, self._op(), self._value())))

    def _op(self) -> Op:
        token = self._take(kind="op", expected="one of = != < <= > >= was expected")
        return cast(Op, _SAME.get(token.raw, token.raw))

    def _values(self) -> tuple[Value, ...]:
        self._take(raw="(", expected="`(` was expected after `in`")
        values = [self._value()]
        while self._accept("mark", ","):
            values.append(self._value())
        self._take(raw=")", expected="`,` or `)` was expected")
        return tuple(values)

    def _value(self) -> Value:
        token = self._peek()
        self._next += 1
        if token.kind == "string":
            return _unescape(token.raw)
        if token.kind == "number":
            whole = token.raw.lstrip("+-").isdigit()
            return plain_value(int(token.raw) if whole else float(token.raw))
        if token.kind == "date":
            return self._moment(token)
        if token.kind == "key" and token.raw in ("true", "false"):
            return token.raw == "true"
        if token.kind == "key" and token.raw == "null":
            raise _wrong(self._text, token.at, "nothing equals null", hint="write `is null` or `is not null`.")
        if token.kind == "word":
            raise _wrong(self._text, token.at, "a constant was expected", hint=f'text stands in quotes: "{token.raw}".')
        raise _wrong(self._text, token.at, "a constant was expected")

    def _moment(self, token: _Token) -> Value:
        try:
            return plain_value(datetime.fromisoformat(token.raw))
        except (ValueError, OverflowError) as error:
            expected = f"`{token.raw}` is not a date"
            raise _wrong(self._text, token.at, expected, hint="dates are ISO: 2024-01-31.") from error
