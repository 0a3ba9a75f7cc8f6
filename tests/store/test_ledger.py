"""The ledger counts looks, and nothing that goes wrong with it stops a run."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from errata.store.ledger import look_at

SETTINGS = {"metric": "error", "alpha": 0.05, "multiplicity": "bh", "split_seed": 0}


def _look(print_: str, ids: list[str], state: Path, **changes):
    return look_at(print_, ids, settings=SETTINGS | changes, state=state)


def test_the_same_set_again_is_a_repeat_and_another_set_is_a_later_look(tmp_path):
    first = _look("ab", ["1", "2"], tmp_path)
    again = _look("ab", ["2", "1", "1"], tmp_path)
    later = _look("ab", ["1"], tmp_path)
    assert (first.number, first.repeat, first.first) == (1, False, True)
    assert (again.number, again.repeat, again.first) == (1, True, True)
    assert (later.number, later.repeat, later.first) == (2, False, False)
    assert (_look("ab", ["1"], tmp_path).number, _look("ab", ["1"], tmp_path).first) == (2, False)


@pytest.mark.parametrize("change", [{"metric": "loss"}, {"alpha": 0.1}, {"multiplicity": "by"}, {"split_seed": 1}])
def test_another_setting_is_another_look(tmp_path, change):
    _look("ab", ["1"], tmp_path)
    assert _look("ab", ["1"], tmp_path, **change).number == 2


def test_each_fingerprint_has_its_own_ledger(tmp_path):
    _look("ab", ["1"], tmp_path)
    assert _look("cd", ["2"], tmp_path).first
    assert sorted(path.name for path in (tmp_path / "looks").iterdir()) == ["ab.jsonl", "cd.jsonl"]


def test_looking_at_nothing_is_no_look(tmp_path):
    assert _look("ab", [], tmp_path).first
    assert _look("ab", ["1"], tmp_path).number == 1
    assert not _look("ab", [], tmp_path).first


def test_a_line_torn_by_a_killed_process_neither_counts_nor_swallows_the_next(tmp_path):
    _look("ab", ["1"], tmp_path)
    ledger = tmp_path / "looks" / "ab.jsonl"
    with ledger.open("ab") as file:
        file.write(b'{"look": "12')
    assert _look("ab", ["2"], tmp_path).number == 2
    assert _look("ab", ["2"], tmp_path).repeat
    assert _look("ab", ["1"], tmp_path).number == 1


def test_a_ledger_that_cannot_be_written_is_a_caveat(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    look = _look("ab", ["1"], blocked)
    assert look.number is None
    assert look.first
    assert "unknown" in look.caveats[0]


def _on_a_full_disk(place: Path) -> int | None:
    import resource

    limit = (place / "looks" / "ab.jsonl").stat().st_size + 10
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return look_at("ab", ["2"], settings=SETTINGS, state=place).number


def test_a_full_disk_is_a_caveat_and_leaves_the_ledger_as_it_was(tmp_path):
    _look("ab", ["1"], tmp_path)
    before = (tmp_path / "looks" / "ab.jsonl").read_bytes()
    with ProcessPoolExecutor(1) as pool:
        assert pool.submit(_on_a_full_disk, tmp_path).result() is None
    assert (tmp_path / "looks" / "ab.jsonl").read_bytes() == before
    assert _look("ab", ["2"], tmp_path).number == 2


def _from_a_process(place: Path, index: int) -> int | None:
    return look_at("ab", [str(index)], settings=SETTINGS, state=place).number


def test_looks_of_several_processes_at_once_all_count(tmp_path):
    with ProcessPoolExecutor(4) as pool:
        numbers = list(pool.map(_from_a_process, [tmp_path] * 12, range(12)))
    assert sorted(numbers) == list(range(1, 13))


def test_the_fingerprint_never_becomes_a_path(tmp_path):
    assert _look("../ab", ["1"], tmp_path).number is None
    assert not list(tmp_path.iterdir())
