"""What is a secret's name, what is a secret's shape, and where a secret ends within a text."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmad_otel import Capture
from bmad_otel._content import result_text
from bmad_otel._secrets import MARGIN, Verdict, denied_words, verdict_on, without_secrets


def shown(text: str) -> Any:
    return json.loads(result_text(text, Capture()))


@pytest.mark.parametrize(
    "name",
    [
        "password", "Password", "passwd", "pwd", "userPwd", "PGPASSWORD", "db_password", "dbPassword2", "pass_word",
        "passphrase", "smtp_pass", "secret", "clientSecret", "CLIENT-SECRET", "secrets", "token", "access_token",
        "accesstoken", "refreshToken", "X-Auth-Token", "api_key", "apikey", "APIKey", "openAIApiKey", "x-api-key",
        "api_keys", "private_key", "privateKeyPem", "AWS_SECRET_ACCESS_KEY", "access_key", "sshKey", "encryption key",
        "authorization", "Proxy-Authorization", "auth", "OAuth", "credential", "credentials", "aws_creds", "cookie",
        "Set-Cookie", "session", "sessionId", "bearer", "jwt", "ssn", "card", "cardNumber", "credit_card", "creditcard",
        "cvv", "token_expiry",
    ],
)  # fmt: skip
def test_secret_names(name: str) -> None:
    assert verdict_on(name) is Verdict.SECRET


@pytest.mark.parametrize(
    "name",
    [
        "key", "keys", "sort_key", "public_key", "keyboard", "monkey", "author", "authored", "authenticated",
        "unauthorized", "secretary", "discard", "wildcard", "cardinal", "obsession", "passenger", "pass_rate", "bypass",
        "tokenizer", "tokenize", "compass", "", "1", "description", "accessor", "classname",
    ],
)  # fmt: skip
def test_harmless_names(name: str) -> None:
    assert verdict_on(name) is Verdict.SHOWN


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "maxTokens", "input_tokens", "tokens", "token_count", "tokenCount", "token_usage", "token_ids"],
)
def test_counts_of_tokens_are_numbers_or_nothing(name: str) -> None:
    assert verdict_on(name) is Verdict.NUMBERS
    value = {name: {"prompt": 5, "rate": 0.5, "none": None, "text": "unseen", "list": ["unseen", 1]}}
    assert json.loads(result_text(value, Capture())) == {
        name: {"prompt": 5, "rate": 0.5, "none": None, "text": "[redacted]", "list": ["[redacted]", 1]}
    }


def test_further_names_are_found_by_their_words() -> None:
    deny = denied_words(("customer id", "IBAN", "геном"))
    for name in ("customer_id", "oldCustomerID", "customer-ids", "iban", "payeeIban", "ГЕНОМ"):
        assert verdict_on(name, deny) is Verdict.SECRET
    for name in ("customer", "id", "customer_identity", "caliban"):
        assert verdict_on(name, deny) is Verdict.SHOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer abcdef123456", "[redacted]"),
        ("use sk-proj-abcdefghijklmnop-12 please", "use [redacted] please"),
        ("AKIAIOSFODNN7EXAMPLE,", "[redacted],"),
        ("ghp_abcdefghijklmnopqrst", "[redacted]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3 x", "[redacted] x"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb", "a\n[redacted]\nb"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nMIIE", "[redacted]"),
        ("postgres://bob:hunter2@db/x", "postgres://[redacted]@db/x"),
        ("redis://:hunter2@cache:6379", "redis://[redacted]@cache:6379"),
        ("https://x.org/y?api_key=unseen&page=2", "https://x.org/y?api_key=[redacted]&page=2"),
        ('{"password": "a\\"b", "n": 1}', '{"password": "[redacted]", "n": 1}'),
        ('{"token": 123, "n": 1}', '{"token": [redacted], "n": 1}'),
        ('{"credentials": {"user": "bob"}, "n": 1}', '{"credentials": [redacted]'),
        ('{\\"password\\": \\"unseen\\", \\"n\\": 1}', '{\\"password\\": \\"[redacted]\\", \\"n\\": 1}'),
        ("{'api_key': 'unseen', 'n': 1}", "{'api_key': '[redacted]', 'n': 1}"),
        ("User(name='bob', password='unseen')", "User(name='bob', password='[redacted]')"),
        ("Authorization: Basic dXNlcjpwYXNz\nAccept: x", "Authorization: [redacted]\nAccept: x"),
        ("Cookie: a=1; b=2", "Cookie: [redacted]"),
        ("password = correct horse\nnext", "password = [redacted]\nnext"),
        ("run --api-key=unseen --verbose", "run --api-key=[redacted] --verbose"),
        ("password=one secret=two", "password=[redacted] secret=[redacted]"),
    ],
)
def test_secrets_within_a_text(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a basic understanding of tokens", "the bearer of news", "task-force-of-the-whole-country", "http://host:8080/a@b",
        "max_tokens=100", '{"max_tokens": 100}', "author: Ada", "at 10:30 in room 5", "sk-short", "key: value", "",
    ],
)  # fmt: skip
def test_texts_without_secrets(text: str) -> None:
    assert shown(text) == text


BODY = "Zq9X" * 12
SECRETS = st.sampled_from(
    [f"sk-{BODY}", f"Bearer {BODY}", f"eyJhbGciOiJIUzI1NiJ9.{BODY}.{BODY}", f"password={BODY}", f'"api_key": "{BODY}"',
     f"-----BEGIN PRIVATE KEY-----\n{BODY * 20}\n-----END PRIVATE KEY-----", f"https://user:{BODY}@host",
     f"Authorization: Basic {BODY}"]
)  # fmt: skip


@given(secret=SECRETS, before=st.integers(0, 300), after=st.integers(0, 300), limit=st.integers(1, 400))
def test_law_no_part_of_a_secret_is_shown_wherever_the_text_is_cut(
    secret: str, before: int, after: int, limit: int
) -> None:
    text = "." * before + " " + secret + " " + "." * after
    for seen in (
        json.loads(result_text(text, Capture(max_string=limit))),
        json.loads(result_text([text, text], Capture(max_length=max(64, limit))))[0],
        without_secrets(text[: limit + MARGIN], limit, ()),
    ):
        assert "Zq9X" not in seen


def test_a_secret_as_a_key() -> None:
    text = result_text({f"sk-{BODY}": 1, f"ghp_{BODY}": 2}, Capture())
    assert json.loads(text) == {"[redacted]": 1, "[redacted] (2)": 2}


def test_what_the_hook_returns_is_searched_too_and_secrets_never_reach_it() -> None:
    asked: list[str] = []

    def redact(path: str, value: object) -> object:
        asked.append(path)
        return f"key sk-{BODY}" if path == "result.note" else value

    text = result_text({"note": "x", "password": "unseen"}, Capture(redact=redact))
    assert json.loads(text) == {"note": "key [redacted]", "password": "[redacted]"}
    assert asked == ["result", "result.note"]


@pytest.mark.parametrize(
    "piece",
    ["password=", "password: ", '"password":"', "://a:b", "-----BEGIN PRIVATE KEY-----", "basic aaaaaaaaaaaa ",
     "bearer ", "eyJ", "sk-", "a.b-", "\\", "token:'\\", "a"],
)  # fmt: skip
def test_looking_for_secrets_takes_time_in_proportion_to_the_text(piece: str) -> None:
    """Eight times the text may take eight times as long, with room for a busy machine; 64 times would be a search that
    begins anew at each of its parts."""

    def cost_ns(length: int) -> int:
        text = (piece * length)[:length]
        costs = []
        for _ in range(3):
            started_ns = time.process_time_ns()
            without_secrets(text, length, ())
            costs.append(time.process_time_ns() - started_ns)
        return min(costs)

    assert cost_ns(80_000) < 30 * max(cost_ns(10_000), 1_000_000)
