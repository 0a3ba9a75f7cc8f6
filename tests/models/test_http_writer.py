"""A language model that rewords: what it is asked, what comes back, and what becomes of one that fails."""

from __future__ import annotations

import json

import pytest

from errata.core.errors import CannotRunError, StoppedError, UsageError
from errata.models.http import writer_at
from errata.testing.served import Fault, served

SENTENCES = ["age over 60: 58 % wrong", "city is cairo: 30 % wrong", "age over 60: 58 % wrong"]


def loud(rows):
    return [row.upper() for row in rows]


def test_each_sentence_is_sent_alone_with_the_instruction() -> None:
    bodies = []
    with served(loud, shape="chat") as server:
        writer = writer_at(server.url)
        sent = writer.asking.client.post
        object.__setattr__(
            writer.asking, "client", Recording(writer.asking.client, lambda body: bodies.append(json.loads(body)), sent)
        )
        assert writer.write(SENTENCES) == [text.upper() for text in SENTENCES]
        assert writer.write([]) == []
        assert server.calls == 2, "what was asked once is not asked again"
    assert writer.name == f"tiny at {server.url.partition('/v1')[0]}"
    assert {body["messages"][1]["content"] for body in bodies} == set(SENTENCES)
    assert all("Keep every number" in body["messages"][0]["content"] for body in bodies)
    assert all(body["temperature"] == 0 and body["model"] == "tiny" for body in bodies)


class Recording:
    """A client that notes what is sent."""

    def __init__(self, client, note, send) -> None:
        self.client, self.note, self.send = client, note, send

    def post(self, path, body, *, kind="application/json"):
        self.note(body)
        return self.send(path, body, kind=kind)

    def __getattr__(self, name):
        return getattr(self.client, name)


def test_the_address_of_the_server_is_enough() -> None:
    with served(loud, shape="chat") as server:
        root = server.url.partition("/v1")[0]
        assert writer_at(root).write(SENTENCES[:1]) == [SENTENCES[0].upper()]
        assert writer_at(f"{root}/v1#model=tiny").write(SENTENCES[:1]) == [SENTENCES[0].upper()]


def test_a_file_of_settings_with_a_key(tmp_path, monkeypatch) -> None:
    with served(loud, shape="chat") as server:
        path = tmp_path / "words.toml"
        path.write_text(f'url = "{server.url}"\nmodel = "tiny"\nkey_env = "WORDS_KEY"\n')
        with pytest.raises(UsageError, match="WORDS_KEY"):
            writer_at(path)
        monkeypatch.setenv("WORDS_KEY", "s3cret")
        assert writer_at(path).write(SENTENCES[:1]) == [SENTENCES[0].upper()]
        assert server.headers["Authorization"] == "Bearer s3cret"


def test_busy_and_broken_servers_are_asked_again() -> None:
    faults = {0: Fault(status=429, headers={"Retry-After": "0"}), 1: Fault(drop=True)}
    with served(loud, shape="chat", faults=faults.get) as server:
        assert writer_at(f"{server.url}#model=tiny").write(SENTENCES) == [text.upper() for text in SENTENCES]


def test_one_that_withholds_an_answer_gives_none() -> None:
    with served(lambda rows: ["" for _ in rows], shape="chat") as server:
        assert writer_at(server.url).write(SENTENCES[:1]) == [None]


def test_one_that_always_fails_is_stopped() -> None:
    refusing = served(loud, shape="chat", faults=lambda number: Fault(status=401))
    with refusing as server, pytest.raises(StoppedError, match="asks for a key"):
        writer_at(f"{server.url}#model=tiny").write(SENTENCES)


def test_other_shapes_and_nobody_there() -> None:
    with pytest.raises(UsageError, match="expected `chat`"):
        writer_at("http://127.0.0.1:9/invocations#shape=mlflow")
    with pytest.raises(CannotRunError, match="does not answer"):
        writer_at("http://127.0.0.1:9/v1")
    with pytest.raises(UsageError, match="cannot be read"):
        writer_at("nowhere.toml")


def test_no_more_calls_than_allowed() -> None:
    with served(loud, shape="chat") as server:
        writer = writer_at(f"{server.url}#model=tiny&concurrency=1")
        writer.limit(1)
        assert not writer.spent
        assert writer.write(SENTENCES[:2]) == [SENTENCES[0].upper(), None]
        assert writer.spent
        assert server.calls == 1
        nothing = writer_at(f"{server.url}#model=tiny")
        nothing.limit(-3)
        assert nothing.write(SENTENCES) == [None, None, None]
        assert server.calls == 1
        enough = writer_at(f"{server.url}#model=tiny")
        enough.limit(2)
        assert enough.write(SENTENCES) == [text.upper() for text in SENTENCES]
        assert not enough.spent


def test_calls_of_a_killed_run_count(tmp_path) -> None:
    with served(loud, shape="chat") as server:
        url = f"{server.url}#model=tiny"
        writer_at(url, folder=tmp_path).write(SENTENCES[:1])
        again = writer_at(url, folder=tmp_path)
        again.limit(1)
        assert again.write(SENTENCES) == [SENTENCES[0].upper(), None, SENTENCES[2].upper()]
        assert server.calls == 1


def test_trouble_with_the_last_call_is_said_as_such() -> None:
    with served(loud, shape="chat", faults=lambda number: Fault(status=401)) as server:
        writer = writer_at(f"{server.url}#model=tiny")
        writer.limit(1)
        with pytest.raises(StoppedError, match="asks for a key"):
            writer.write(SENTENCES)


def test_answers_are_kept_in_the_run(tmp_path) -> None:
    with served(loud, shape="chat") as server:
        url = f"{server.url}#model=tiny"
        writer_at(url, folder=tmp_path).write(SENTENCES)
        calls = server.calls
        assert writer_at(url, folder=tmp_path).write(SENTENCES) == [text.upper() for text in SENTENCES]
        assert server.calls == calls
