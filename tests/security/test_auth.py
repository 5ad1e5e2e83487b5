"""Bearer tokens and passwords on the receivers."""

from __future__ import annotations

import base64
import hashlib
import select
import socket
import time
from pathlib import Path
from typing import Any

import bcrypt
import grpc
import httpx2
import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from bmad_processor.errors import StartError
from bmad_processor.quantities import split_endpoint
from bmad_processor.security import (
    Authenticator,
    BasicAuth,
    BasicAuthConfig,
    BearerTokenAuth,
    BearerTokenAuthConfig,
    Verdict,
)
from tests.edges.peers import Recorder, eventually, spans_body

from .certificates import PB, TRACES, listening

both = pytest.mark.parametrize("protocol", ["grpc", "http"])


def bearer(**block: Any) -> BearerTokenAuth:
    return BearerTokenAuth(BearerTokenAuthConfig(**block))


def basic(lines: str) -> BasicAuth:
    return BasicAuth(BasicAuthConfig(htpasswd={"inline": lines}))


def basic_header(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


WRONG = ["", "Bearer", "Bearer s3cre", "Bearer s3crett", "bearer s3cret x", "Basic s3cret", "s3cret",
         "Bearer S3CRET"]  # fmt: skip


@both
def test_bearer_token(protocol: str) -> None:
    consumer = Recorder()
    with listening(protocol, consumer, authenticator=bearer(token="s3cret")) as receiver:
        for right in ("Bearer s3cret", "bearer s3cret"):
            assert receiver.send(None, headers={"authorization": right}) == "ok"
        assert receiver.send(None) == "unauthenticated"
        for wrong in WRONG:
            assert receiver.send(None, headers={"authorization": wrong}) == "unauthenticated"
    assert len(consumer.got) == 2


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20), st.text())
def test_only_the_tokens_themselves_are_let_in(token: str, other: str) -> None:
    authenticator = bearer(tokens=[token, "second"])
    for value in (f"Bearer {token}", "Bearer second", authenticator.credentials()):
        assert authenticator.judge(value) is Verdict.YES
    is_right = other.strip() in (token, "second")
    assert (authenticator.judge(f"Bearer {other}") is Verdict.YES) == is_right


def test_other_header_and_scheme() -> None:
    authenticator = bearer(token="t", scheme="ApiKey", header="X-Api-Key")
    assert (authenticator.header, authenticator.credentials()) == ("x-api-key", "ApiKey t")
    with listening("http", Recorder(), authenticator=authenticator) as receiver:
        assert receiver.send(None, headers={"x-api-key": "ApiKey t"}) == "ok"
        assert receiver.send(None, headers={"authorization": "ApiKey t"}) == "unauthenticated"


@both
def test_a_file_of_tokens_is_followed(protocol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "tokens"
    file.write_text("first\n\nsecond\n")
    with listening(protocol, Recorder(), authenticator=bearer(filename=str(file))) as receiver:

        def answer(token: str) -> str:
            return receiver.send(None, headers={"authorization": f"Bearer {token}"})

        assert [answer(token) for token in ("first", "second")] == ["ok", "ok"]
        assert [answer(token) for token in ("third", "first second")] == ["unauthenticated"] * 2
        file.write_text("third\n")
        eventually(lambda: answer("third") == "ok")
        assert answer("first") == "unauthenticated"
        file.write_text("\n")  # no token: nobody could be let in, so the last ones stay
        eventually(lambda: answer("third") == "ok" and "cannot be used" in caplog.text)
        assert answer("third") == "ok"


def test_files_that_cannot_be_used_are_start_errors(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    for name in ("missing", "empty"):
        with pytest.raises(StartError, match=name):
            bearer(filename=str(tmp_path / name))
        with pytest.raises(StartError, match=name):
            BasicAuth(BasicAuthConfig(htpasswd={"file": str(tmp_path / name)}))
    for wrong in ("s3cret", "s3cret:", ":s3cret", "user:$apr1$salt$s3cret", "user:{SSHA}s3cret"):
        with pytest.raises(StartError, match="line 2") as caught:
            basic(f"# comment\n{wrong}")
        assert "s3cret" not in str(caught.value)


@both
@pytest.mark.parametrize("kind", ["bcrypt", "2y", "sha", "plain"])
def test_passwords(protocol: str, kind: str) -> None:
    password = "pä:ss word"
    known = {
        "bcrypt": hashed(password),
        "2y": "$2y$" + hashed(password)[4:],
        "sha": "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode(),
        "plain": password,
    }[kind]
    consumer = Recorder()
    with listening(protocol, consumer, authenticator=basic(f"other:x\nagent:{known}\nagent:later")) as receiver:

        def answer(value: str) -> str:
            return receiver.send(None, headers={"authorization": value})

        for _ in range(2):
            assert answer(basic_header("agent", password)) == "ok"
            assert answer(basic_header("agent", "later")) == "unauthenticated"
            assert answer(basic_header("nobody", password)) == "unauthenticated"
            assert answer(basic_header("agent", "")) == "unauthenticated"
        for wrong in ("Basic", "Basic =", "Basic YWJj", "Basic /w==", "Bearer x"):
            assert answer(wrong) == "unauthenticated"
    assert len(consumer.got) == 2


def test_a_password_costs_its_hash_once() -> None:
    authenticator = basic("agent:" + bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode())
    for password, expected in (("right", Verdict.YES), ("wrong", Verdict.NO)):
        value = basic_header("agent", password)
        assert authenticator.judge(value) is Verdict.TAKES_LONG
        authenticator.check(value)
        began = time.process_time()
        for _ in range(100):
            assert authenticator.judge(value) is expected
        assert time.process_time() - began < 0.05


def test_who_is_known_cannot_be_told_by_the_time() -> None:
    authenticator = basic("agent:" + bcrypt.hashpw(b"right", bcrypt.gensalt(8)).decode())

    def least_s(user: str) -> float:
        times = []
        for n in range(5):
            began = time.process_time()
            assert not authenticator.check(basic_header(user, f"wrong{n}"))
            times.append(time.process_time() - began)
        return min(times)

    assert 0.5 < least_s("agent") / least_s("nobody") < 2


def test_users_are_followed(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(f"agent:{hashed('old')}")
    authenticator = BasicAuth(BasicAuthConfig(htpasswd={"file": str(file)}))
    with listening("grpc", Recorder(), authenticator=authenticator) as receiver:
        old, new = ({"authorization": basic_header("agent", word)} for word in ("old", "new"))
        assert receiver.send(None, headers=old) == "ok"
        file.write_text(f"agent:{hashed('new')}")
        eventually(lambda: receiver.send(None, headers=new) == "ok")
        assert receiver.send(None, headers=old) == "unauthenticated", "what was found out about it is forgotten"


def test_the_answers_in_full() -> None:
    with listening("http", Recorder(), authenticator=bearer(token="s3cret")) as receiver:
        for content_type in ("application/x-protobuf", "application/json"):
            url, headers = f"http://{receiver.endpoint}/v1/traces", {"content-type": content_type}
            response = httpx2.post(url, content=b"", headers=headers)
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
            assert response.headers["content-type"] == content_type
            if content_type == "application/json":
                assert response.json()["code"] == 16
            else:
                assert Status.FromString(response.content).code == 16
    with listening("grpc", Recorder(), authenticator=basic("a:b")) as receiver:
        with grpc.insecure_channel(receiver.endpoint) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(TRACES)(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_a_body_of_a_stranger_is_not_read() -> None:
    with (
        listening("http", Recorder(), authenticator=bearer(token="s3cret")) as receiver,
        socket.create_connection(split_endpoint(receiver.endpoint), timeout=10) as raw,
    ):
        raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    b"Content-Encoding: gzip\r\nContent-Length: 1000000\r\n\r\n")  # fmt: skip
        assert raw.recv(1000).startswith(b"HTTP/1.1 401 ")
    consumer = Recorder()
    with (
        listening("grpc", consumer, authenticator=bearer(token="s3cret")) as receiver,
        grpc.insecure_channel(receiver.endpoint) as channel,
    ):
        large = spans_body(name="x" * 20_000_000)
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(TRACES)(large, timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        # the connection goes on
        headers = (("authorization", "Bearer s3cret"),)
        assert channel.unary_unary(TRACES)(spans_body(), timeout=10, metadata=headers) == b""
    assert len(consumer.got) == 1


@both
def test_guessing_does_not_hold_up_others(protocol: str) -> None:
    authenticator: Authenticator = basic("agent:" + bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode())
    consumer = Recorder()
    with listening(protocol, consumer, authenticator=authenticator) as receiver:
        right = {"authorization": basic_header("agent", "right")}
        assert receiver.send(None, headers=right) == "ok"
        if protocol == "grpc":
            with grpc.insecure_channel(receiver.endpoint) as channel:
                call = channel.unary_unary(TRACES)
                guesses = [call.future(b"", timeout=30, metadata=(("authorization", basic_header("agent", str(n))),))
                           for n in range(40)]  # fmt: skip
                assert call(b"", timeout=30, metadata=tuple(right.items())) == b""
                n_waiting = sum(not guess.done() for guess in guesses)
                codes = {guess.exception().code() for guess in guesses}
            assert codes == {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE}
        else:
            raws = []
            for n in range(40):
                raw = socket.create_connection(split_endpoint(receiver.endpoint), timeout=30)
                raw.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: "
                            + basic_header("agent", str(n)).encode() + b"\r\n\r\n")  # fmt: skip
                raws.append(raw)
            response = httpx2.post(f"http://{receiver.endpoint}/v1/traces", content=b"", headers=PB | right)
            n_waiting = len(raws) - len(select.select(raws, [], [], 0)[0])
            assert response.status_code == 200
            codes = {raw.recv(1000).split()[1] for raw in raws}
            for raw in raws:
                raw.close()
            assert codes == {b"401", b"503"}
    assert n_waiting, "who is known does not wait for those who guess"
    assert len(consumer.got) == 2
