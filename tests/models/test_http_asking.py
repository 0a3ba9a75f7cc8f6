"""Asking a server that is slow, busy, broken, small or forgetful: each row once, and never more calls than allowed."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pandas as pd
import pytest

from errata.core.errors import CannotRunError, StoppedError
from errata.models import http
from errata.models.connect import connect
from errata.models.http import asking
from errata.models.http.kept import FILE, Kept
from errata.models.http.pace import Pace
from errata.models.http.said import Said
from errata.testing.served import Fault, served


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(asking, "FIRST_WAIT", 0.005)


def people(n: int) -> pd.DataFrame:
    return pd.DataFrame({"age": np.arange(n), "id": [f"row {i}" for i in range(n)]})


def by_age(rows):
    return ["odd" if row["age"] % 2 else "even" for row in rows]


def expected(n: int) -> list[str]:
    return ["odd" if i % 2 else "even" for i in range(n)]


def model_at(server, n=64, folder=None, levels=("even", "odd"), **more):
    model = http.from_settings(http.Settings(url=server.url, **{"tries": 4, **more}))
    frame = people(n)
    return model.kept_in(folder, rows=n).settled(frame.iloc[:8], levels=levels).model, frame


def test_the_largest_batch_that_the_server_takes_is_found():
    with served(by_age, most=10) as server:
        model, frame = model_at(server, 600)
        assert model.predict(frame).labels.tolist() == expected(600)
        assert max(server.sizes) <= 10
        assert server.rows == 600
        refused = server.calls - len(server.sizes)
        assert refused < 30, "once the limit is known it is kept"
        assert "at most" in " ".join(model.remarks())


def test_a_server_that_loses_rows_is_asked_in_smaller_batches():
    with served(lambda rows: by_age(rows)[:5]) as server:
        model, frame = model_at(server, 40)
        assert model.predict(frame).labels.tolist() == expected(40)
        assert "5 answers for" in " ".join(model.remarks())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers={"Retry-After": "0"}), Fault(status=503), Fault(status=500), Fault(cut=True),
        Fault(drop=True), Fault(raw=b'{"predictions": ['), Fault(status=502, body="<html>Bad gateway</html>"),
    ],
    ids=["busy", "down", "error", "cut", "dropped", "half", "gateway"],
)  # fmt: skip
def test_what_passes_is_waited_for(fault):
    # The first call too: its connection is a new one, and only a kept one may be dropped without a word.
    with served(by_age, faults=lambda number: fault if number % 3 == 0 else None) as server:
        model, frame = model_at(server, 300, batch=20)
        assert model.predict(frame).labels.tolist() == expected(300)
        assert server.rows == 300, "no answered row is asked again"
        assert "sent again" in " ".join(model.remarks())


def test_retry_after_is_honoured():
    asked = []

    def busy_once(number):
        asked.append(time.monotonic())
        return Fault(status=429, headers={"Retry-After": "0.4"}) if number == 0 else None

    with served(by_age, faults=busy_once) as server:
        model_at(server)
    assert asked[1] - asked[0] >= 0.4


def test_too_long_a_wait_is_said():
    with served(by_age, faults=lambda number: Fault(status=429, headers={"Retry-After": "86400"})) as server:
        with pytest.raises(StoppedError, match="asks to wait 86,400 s"):
            model_at(server)
        assert server.calls == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "asks for a key"), (403, "does not let us in"), (404, "is not there"), (307, "redirects"), (402, "payment")],
)
def test_what_will_not_pass_ends_at_once(status, words):
    with served(
        by_age, faults=lambda number: Fault(status=status, headers={"Location": "http://elsewhere/"})
    ) as server:
        with pytest.raises(StoppedError, match=words):
            model_at(server)
        assert server.calls == 1


def test_a_server_that_always_fails_is_left_soon():
    with served(by_age, faults=lambda number: Fault(status=500)) as server:
        with pytest.raises(StoppedError, match="fails on everything: 500 planted"):
            model_at(server)
        assert server.calls <= 8


def test_a_server_that_dies_in_the_middle_is_left_soon():
    with served(by_age, faults=lambda number: Fault(status=500) if number > 3 else None) as server:
        model, frame = model_at(server, 400, batch=20)
        with pytest.raises(StoppedError, match=r"failed on \d+ requests one after the other"):
            model.predict(frame)
        assert server.calls < 60
        with pytest.raises(StoppedError):
            model.predict(frame)


def test_one_bad_row_is_found_and_not_asked_about_again():
    def picky(rows):
        if any(row["age"] == 77 for row in rows):
            raise ValueError("not 77")
        return by_age(rows)

    with served(picky) as server:
        model, frame = model_at(server, 200)
        with pytest.raises(CannotRunError, match="no answer for 1 of 200 rows: 400 ValueError: not 77"):
            model.predict(frame)
        calls = server.calls
        assert calls < 25
        assert model.predict(frame.drop(index=77)).labels.tolist() == expected(200)[:77] + expected(200)[78:]
        with pytest.raises(CannotRunError, match="not 77"):
            model.predict(frame.iloc[70:80])
        assert server.calls == calls


def test_rows_answered_with_nan_have_no_answer():
    def holes(rows):
        return [[float("nan"), 1.0] if row["age"] == 30 else [0.25, 0.75] for row in rows]

    with served(holes) as server:
        model, frame = model_at(server, 60)
        with pytest.raises(CannotRunError, match="1 of 60 rows: it gave NaN"):
            model.predict(frame)
        assert model.predict(frame.iloc[31:]).scores.shape == (29, 2)


def test_names_that_change_their_order_are_followed_and_other_names_refused():
    turned = threading.Event()

    def turning(rows):
        return [{"odd": 0.9, "even": 0.1} if turned.is_set() else {"even": 0.1, "odd": 0.9} for _ in rows]

    with served(turning) as server:
        model, frame = model_at(server, 40)
        turned.set()
        assert np.allclose(model.predict(frame).scores, [[0.1, 0.9]] * 40)
    with served(lambda rows: [{"even": 0.1, "odd" if row["age"] < 9 else "strange": 0.9} for row in rows]) as server:
        model, frame = model_at(server, 40)
        with pytest.raises(CannotRunError, match="answers change"):
            model.predict(frame)


def test_calls_are_never_more_than_allowed(tmp_path):
    with served(by_age, faults=lambda number: Fault(delay=0.01)) as server:
        model, frame = model_at(server, 500, folder=tmp_path, batch=10)
        model.limit(20)
        with pytest.raises(
            StoppedError, match=r"`--max-calls 20` are spent: \d+ of 500 rows are answered, and kept in"
        ):
            model.predict(frame)
        assert server.calls == 20
        again, _ = model_at(server, 500, folder=tmp_path, batch=10)
        assert server.calls == 20, "the trial's rows were kept"
        again.limit(1_000)
        assert again.predict(frame).labels.tolist() == expected(500)
        assert server.rows == 500
        assert server.repeated == 0


def test_all_allowed_calls_are_made_however_slow_the_disk(tmp_path, monkeypatch):
    write = Kept._write
    monkeypatch.setattr(Kept, "_write", lambda self, line: (time.sleep(0.02), write(self, line)))
    with served(by_age) as server:
        model, frame = model_at(server, 500, folder=tmp_path, batch=10)
        model.limit(20)
        with pytest.raises(StoppedError, match="are spent"):
            model.predict(frame)
        assert server.calls == 20


def test_what_is_sent_again_on_another_connection_counts_too():
    """A kept connection may be closed after the server has read the request: that is a call. One at a time, so that no
    request is the unlucky one every time."""
    with served(by_age, faults=lambda number: Fault(drop=True) if number % 2 else None) as server:
        model, frame = model_at(server, 200, batch=5, concurrency=1)
        assert model.predict(frame).labels.tolist() == expected(200)
        assert model.calls == server.calls
    with served(by_age, faults=lambda number: Fault(drop=True) if number % 2 else None) as server:
        model, frame = model_at(server, 200, batch=5, concurrency=1)
        model.limit(20)
        with pytest.raises(StoppedError, match="max-calls 20"):
            model.predict(frame)
        assert server.calls == 20


def test_equal_rows_are_asked_once():
    frame = pd.DataFrame({"age": [1, 2, 1, 2, 1], "id": ["a", "b", "a", "b", "a"]})
    with served(by_age) as server:
        model = connect(server.url).settled(frame, levels=("even", "odd")).model
        assert model.predict(frame).labels.tolist() == ["odd", "even", "odd", "even", "odd"]
        assert server.rows == 2


def test_an_occasion_asks_again_and_once():
    with served(by_age) as server:
        model, frame = model_at(server, 8)
        calls = server.calls
        assert model.afresh(frame, occasion="again").labels.tolist() == expected(8)
        model.afresh(frame, occasion="again")
        assert server.calls == calls + 1
        assert model.asking.kept.rows == 8


def test_more_is_asked_at_once_while_the_server_bears_it():
    with served(by_age, faults=lambda number: Fault(delay=0.03)) as server:
        model, frame = model_at(server, 400, batch=5, concurrency=12)
        model.predict(frame)
        assert 6 < server.at_once <= 12


def test_a_busy_server_gets_less_at_once():
    lock, under_way, worst = threading.Lock(), [0], [0]

    def crowded(rows):
        with lock:
            under_way[0] += 1
        time.sleep(0.01)
        with lock:
            under_way[0] -= 1
        return by_age(rows)

    def faults(number):
        with lock:
            worst[0] = max(worst[0], under_way[0])
            return Fault(status=429) if under_way[0] >= 3 else None

    with served(crowded, faults=faults) as server:
        model, frame = model_at(server, 400, batch=4)
        assert model.predict(frame).labels.tolist() == expected(400)
        assert server.calls < 3 * 100
        assert model.asking.pace.limit < 12


def test_pace_halves_once_for_all_that_was_under_way():
    pace = Pace(most=16, limit=8.0)
    began = time.monotonic()
    for _ in range(4):
        assert pace.enter()
    pace.balked(began=began)
    assert pace.limit == 4.0
    pace.balked(began=began)
    assert pace.limit == 4.0
    pace.good()
    assert pace.limit == 4.25
    pace.balked(began=time.monotonic())
    assert pace.limit == 2.125
    assert pace.under_way == 0
    pace.stop()
    assert not pace.enter()
    assert not pace.pause(10.0)


def test_answers_survive_a_kill_in_the_middle_of_a_line(tmp_path):
    kept = Kept("owner")
    kept.open(tmp_path)
    kept.called({"a": Said(label="yes"), "b": Said(scores=(0.1, 0.9), names=("no", "yes"))})
    kept.called()
    path = tmp_path / ".partial" / FILE
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"v": 1, "owner": "owner", "calls": 1, "said": {"c": {"la')
    again = Kept("owner")
    again.open(tmp_path)
    assert again.calls == 2
    assert again.get("a") == Said(label="yes")
    assert again.get("b") == Said(scores=(0.1, 0.9), names=("no", "yes"))
    assert again.get("c") is None
    again.called({"c": Said(label="no")})
    third = Kept("owner")
    third.open(tmp_path)
    assert (third.get("c"), third.calls, third.rows) == (Said(label="no"), 3, 3)
    stranger = Kept("stranger")
    stranger.open(tmp_path)
    assert (stranger.get("a"), stranger.calls) == (None, 0)
    for line in path.read_bytes().splitlines():
        if line[-3:] != b'"la':
            assert json.loads(line)["owner"] == "owner"


def test_a_row_that_takes_too_long_is_no_answer_yet():
    with served(by_age, faults=lambda number: Fault(delay=0.5) if number > 0 else None) as server:
        model, frame = model_at(server, 12, timeout=0.2)
        with pytest.raises((CannotRunError, StoppedError), match="no whole answer came within"):
            model.predict(frame.iloc[8:9])
        assert server.calls == 3


def test_only_good_rows_lie_on_disk_when_the_server_was_the_cause(tmp_path):
    broken = [True]
    with served(by_age, faults=lambda number: Fault(status=500) if broken[0] and number == 1 else None) as server:
        model, frame = model_at(server, 12, folder=tmp_path, tries=1)
        with pytest.raises((CannotRunError, StoppedError)):
            model.predict(frame.iloc[8:9])
        broken[0] = False
        again, _ = model_at(server, 12, folder=tmp_path)
        assert again.predict(frame.iloc[8:9]).labels.tolist() == ["even"]
