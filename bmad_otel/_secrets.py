"""What content capture never shows: values with a secret's name, and texts with a secret's shape.

A name is compared by its words: ``dbPassword``, ``DB_PASSWORD`` and ``db-password`` are the same two words, and
``author`` is not ``auth``. ``key`` alone is no secret, because it mostly is the key of a look-up; it is one behind
``api``, ``private`` and the like. ``token`` is one; ``tokens`` counts usage far more often, so its numbers are shown
and its texts are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Final

REDACTED: Final = "[redacted]"
"""Stands where a secret was."""

MARGIN: Final = 512
"""Characters to look at behind the last one shown, so that a secret is known although the end of it is cut off."""

_MAX_NAME: Final = 256
"""Characters of a name that are looked at: a longer one is text, not a name."""

_MAX_CACHED_NAMES: Final = 1024  # the names of a program's parameters and fields, not of its data
_MAX_CACHED_DENIALS: Final = 64  # a program has few kinds of Capture


class Verdict(IntEnum):
    """What may be shown of a value, going by its name."""

    SHOWN = 0
    NUMBERS = 1
    """Only numbers: it is called like a count of tokens."""
    SECRET = 2


_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")

# Names are matched as "_word_word_", so that "_" stands for the edge of a word.
_SECRET_NAME: Final = re.compile(
    r"""
    # at the end of a word, since DBPASSWORD and clientsecret have no visible edge
      (?: pass_?word | passwd | pwd | pass_?phrase | pass_?code | secret | credential | cookie ) s?_
    | token_ (?! (?: budget | count | id | limit | type | usage ) s?_ )
    # whole words: discard, author and obsession are harmless
    | _ (?: auth | authentication | authorization | oauth | bearer | cred | jwt | session | ssn
          | (?: credit | debit )? card | cvc | cvv ) s?_
    | _pass_ $
    | (?: access | account | api | auth | decryption | deploy | encryption | licen[cs]e | master | private | secret
        | service | signing | ssh | storage | subscription | webhook ) _? keys?_
    """,
    re.VERBOSE,
)
_USAGE_NAME: Final = re.compile(r"tokens_|token_")
_STEMS: Final = (
    "pass", "pwd", "secret", "credential", "cookie", "token", "auth", "bearer", "cred", "jwt", "session", "ssn", "card",
    "cvc", "cvv", "key",
)  # fmt: skip
"""One of these is in every secret name: where none is, there is nothing to look for."""

_PREFIXES: Final = (
    "sk-", "sk_", "rk_", "xai-", "gsk_", "hf_", "pplx-", "tvly-", "r8_",  # model and search providers, Stripe
    "AKIA", "ASIA", "AIza", "glpat-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
    "xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "xapp-",  # Slack
)  # fmt: skip
"""How keys begin whose issuers made them recognisable; 16 more characters make one."""

# Each with a text that must be there for it to match, because looking for that is many times quicker. Lower case.
_SHAPES: Final = (
    *((prefix.lower(), re.compile(rf"(?<![A-Za-z0-9]){prefix}[A-Za-z0-9_-]{{16,}}")) for prefix in _PREFIXES),
    ("eyj", re.compile(r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}")),  # JSON Web Token
    ("bearer", re.compile(r"(?i)(?<![a-z0-9])bearer[ \t:]{1,3}[a-z0-9._~+/=-]{6,}")),
    # "basic understanding" is none: base64 has a capital inside, or a digit
    ("basic", re.compile(r"\b(?i:basic)[ \t]{1,3}(?=[A-Za-z]*(?:[a-z][A-Z]|[0-9+/=]))[A-Za-z0-9+/]{8,}={0,2}")),
    ("://", re.compile(r"(?<=://)[^\s/@:]{0,128}:[^\s/]{1,350}(?=@)")),  # user and password of a URL
    (
        "private key",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY[A-Z ]{0,10}-----|\Z)"
        ),
    ),
)

_MIN_SHAPE: Final = len("bearer 123456")  # the shortest of them without a colon

_ASSIGNMENT: Final = re.compile(
    r"""(?<![\w.-])(?P<name>[\w.-]{1,80}+)(?P<closed>\\{0,4}["'])?(?P<before>[ \t]{0,3})(?::=|=>|[:=])[ \t]{0,3}"""
)
_OPENING_QUOTE: Final = re.compile(r"""\\{0,4}["']""")
_END_OF_LINE: Final = re.compile(r"[\r\n]|\Z")
_END_IN_JSON: Final = re.compile(r"[,}\]\r\n]|\Z")
_END_OF_WORD: Final = re.compile(r"""[\s&"']|\Z""")


@lru_cache(_MAX_CACHED_DENIALS)
def denied_words(names: tuple[str, ...]) -> tuple[str, ...]:
    """The words of further secret names, as `verdict_on` and `without_secrets` take them; each has a letter in it."""
    return tuple(map(_words_of, names))


def _words_of(name: str) -> str:
    """The words of ``name`` as ``_word_word_``, in lower case; ``_`` when it has none."""
    return "_".join(["", *_WORD.findall(name[:_MAX_NAME]), ""]).lower()


@lru_cache(_MAX_CACHED_NAMES)
def verdict_on(name: str, deny: tuple[str, ...] = ()) -> Verdict:
    """What may be shown of the value called ``name``. ``deny`` are `denied_words`."""
    words = _words_of(name)
    if _SECRET_NAME.search(words) or any(denied in words or f"{denied[:-1]}s_" in words for denied in deny):
        return Verdict.SECRET
    return Verdict.NUMBERS if _USAGE_NAME.search(words) else Verdict.SHOWN


def without_secrets(text: str, limit: int, deny: tuple[str, ...]) -> str:
    """The first ``limit`` characters of ``text`` with `REDACTED` in the place of each secret.

    ``text`` should go on for `MARGIN` characters behind the limit: what begins before it is judged as a whole.
    """
    if len(text) < _MIN_SHAPE and ":" not in text and "=" not in text:
        return text[:limit]
    lower = text.lower()
    shown: list[str] = []
    position = 0
    for start, end in sorted((*_shapes(text, lower), *_assignments(text, lower, deny))):
        if start >= limit:
            break
        if end <= position:
            continue
        if start > position or not shown:
            shown += (text[position:start], REDACTED)
        position = end
    if position < limit:
        shown.append(text[position:limit])
    return "".join(shown)


def _shapes(text: str, lower: str) -> Iterator[tuple[int, int]]:
    for needed, shape in _SHAPES:
        if needed in lower:
            for match in shape.finditer(text):
                yield match.span()


def _assignments(text: str, lower: str, deny: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Values with a secret's name in JSON, headers, URLs, settings and printed objects."""
    if ":" not in text and "=" not in text:
        return
    if any(stem in lower for stem in (*_STEMS, *(words.split("_")[1] for words in deny))):
        ends: dict[re.Pattern[str], int] = {}
        for match in _ASSIGNMENT.finditer(text):
            if verdict_on(match["name"], deny) is Verdict.SECRET:
                yield _value_after(text, match, ends)


def _value_after(text: str, match: re.Match[str], ends: dict[re.Pattern[str], int]) -> tuple[int, int]:
    """Where the value of a name begins and ends. ``ends`` are the endings found last, or one long line of nothing but
    names would be searched to its end for each of them."""
    start = match.end()
    quote = _OPENING_QUOTE.match(text, start)
    if quote:
        return quote.end(), _end_of_quoted(text, quote)
    if match["closed"] and text[start : start + 1] not in ("[", "{"):
        ending = _END_IN_JSON  # "name": value
    elif match["closed"] or match["before"] or ":" in text[match.end("name") : start]:
        ending = _END_OF_LINE  # Name: value, name = value: the value may have blanks
    else:
        ending = _END_OF_WORD  # name=value
    if ends.get(ending, -1) < start:
        found = ending.search(text, start)
        ends[ending] = found.start() if found else len(text)
    return start, ends[ending]


def _end_of_quoted(text: str, quote: re.Match[str]) -> int:
    """Where the text ends that ``quote`` opened: at the same quote, escaped as often, not more often."""
    position = quote.end()
    while (position := text.find(quote[0], position)) >= 0:
        if text[position - 1] != "\\":
            return position
        position += len(quote[0])
    return len(text)
