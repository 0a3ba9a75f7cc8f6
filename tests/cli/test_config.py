"""Settings: the file, over it the environment, over both the flags; nothing misspelt is passed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from errata.store.directory import load


@pytest.fixture
def alpha(diagnose):
    """The alpha that a run took."""

    def taken(*more: object) -> float:
        done = diagnose("--out", "run", "--force", *more)
        assert done.code == 0, done.err
        return load("run").run.alpha

    return taken


def write(text: str) -> None:
    Path("pyproject.toml").write_text(text)


def test_flags_win_over_the_environment_and_that_over_the_file(alpha, monkeypatch):
    assert alpha() == 0.05
    write("[tool.errata]\nalpha = 0.2\n")
    assert alpha() == 0.2
    monkeypatch.setenv("ERRATA_ALPHA", "0.3")
    assert alpha() == 0.3
    assert alpha("--alpha", "0.4") == 0.4


def test_the_nearest_file_counts(alpha, place, monkeypatch):
    write("[tool.errata]\nalpha = 0.2\n")
    deeper = place / "a" / "b"
    deeper.mkdir(parents=True)
    for name in ("first.csv",):
        (deeper / name).write_bytes((place / name).read_bytes())
    monkeypatch.chdir(deeper)
    assert alpha() == 0.2
    (place / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert alpha() == 0.05


def test_names_are_lists_in_the_file_and_commas_in_the_environment(errata, monkeypatch, instead):
    write('[tool.errata]\nmethods = ["error_tree"]\nignore = ["a, b", "plan"]\nlabel = "label"\nmin-support = 12\n')
    seen = []
    instead(lambda data, **named: seen.append(named) or 1 / 0)
    errata("diagnose", "first.csv")
    assert seen[-1]["ignore"] == ("a, b", "plan")
    assert seen[-1]["methods"] == ("error_tree",)
    assert (seen[-1]["label"], seen[-1]["min_support"]) == ("label", 12)
    monkeypatch.setenv("ERRATA_IGNORE", "first name,city")
    errata("diagnose", "first.csv")
    assert seen[-1]["ignore"] == ("first name", "city")


def test_settings_of_methods_in_the_file_hold_for_those_that_run(diagnose, errata):
    write("[tool.errata.methods.error_tree]\ndepth = 2\n[tool.errata.methods.error_heatmap]\nbins = 5\n")
    assert diagnose("--out", "run").code == 0
    assert load("run").run.methods[0].options["depth"] == 2
    assert "error_tree.depth=2" in load("run").run.command
    assert diagnose("--out", "run", "--force", "--set", "error_tree.depth=3").code == 0
    assert load("run").run.methods[0].options["depth"] == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.errata]\nalhpa = 0.1\n", "did you mean `alpha`"),
        ("[tool.errata]\ndata = 'x.csv'\n", "no option"),
        ("[tool.errata.methods.error_trees]\ndepth = 2\n", "did you mean `error_tree`"),
        ("[tool.errata.methods]\nerror_tree = 3\n", "write a table"),
        ("[tool.errata.methods.error_tree]\ndepht = 2\n", "did you mean `depth`"),
        ("[tool.errata]\nalpha = 7\n", "alpha"),
        ("[tool.errata]\nmetric = 'errors'\n", "metric"),
        ("[tool.errata\n", "cannot be read"),
    ],
)
def test_what_the_file_gets_wrong_is_said(diagnose, text, words):
    write(text)
    done = diagnose()
    assert done.code == 2
    assert words in done.err
    assert "Hint:" in done.err


def test_a_misspelt_variable_is_refused_and_strange_ones_are_left_alone(diagnose, monkeypatch):
    monkeypatch.setenv("ERRATA_REQUIRE_BROWSER", "1")
    monkeypatch.setenv("ERRATA_DATA", "/nowhere")
    monkeypatch.setenv("ERRATA_CACHE", "/nowhere")
    assert diagnose().code == 0
    monkeypatch.setenv("ERRATA_SPLIT_SED", "1")
    done = diagnose()
    assert done.code == 2
    assert "did you mean `ERRATA_SPLIT_SEED`" in done.err


def test_a_broken_file_does_not_stop_the_help(errata):
    write("[tool.errata\n")
    assert errata("diagnose", "--help").code == 0
    assert errata("--help").code == 0
