"""Confirmed findings in other words: what passes stands beside the sentence, what does not is counted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import errata
from errata.core.codec import decode, encode
from errata.core.errors import StoppedError
from errata.core.evidence import Evidence, Rewording
from errata.describe.rewording import reworded, said_of


@pytest.fixture(scope="module")
def diagnosis(people, tmp_path_factory):
    state = tmp_path_factory.mktemp("state")
    return errata.diagnose(people, methods=["error_tree"], proof="split", state=state)


class Scripted:
    """A writer whose words are made by a function of the sentence."""

    name = "tiny at http://here"
    spent = False

    def __init__(self, words) -> None:
        self.words, self.asked = words, []

    def write(self, sentences):
        self.asked += sentences
        return [self.words(sentence) for sentence in sentences]


def test_good_words_stand_beside_the_sentence(diagnosis) -> None:
    writer = Scripted(lambda sentence: f'"{sentence.replace("wrong", "of the answers are wrong", 1)}"')
    told = reworded(diagnosis.findings, diagnosis.evaluation, writer)
    assert told.caveats == ()
    confirmed = [finding for finding in told.findings if finding.confirmed]
    assert confirmed
    for before, after in zip(diagnosis.findings, told.findings, strict=True):
        assert after.title == before.title
        assert after.metric == before.metric
        (*rest, last) = after.evidence if after.confirmed else (*after.evidence, None)
        assert tuple(rest) == before.evidence
        if after.confirmed:
            assert last == Rewording(words=before.title.replace("wrong", "of the answers are wrong", 1), by=writer.name)
            assert decode(json.loads(json.dumps(encode(last))), Evidence) == last
    assert writer.asked == [finding.title for finding in confirmed], "only confirmed sentences leave the machine"


def test_bad_words_are_dropped_and_counted(diagnosis) -> None:
    told = reworded(
        diagnosis.findings, diagnosis.evaluation, Scripted(lambda sentence: sentence.replace("over", "under"))
    )
    n = len(diagnosis.confirmed)
    assert told.findings == diagnosis.findings
    (caveat,) = told.caveats
    assert f"refused for {n} of {n} finding" in caveat
    assert "tiny at http://here" in caveat


def test_no_answer_is_a_refusal_too(diagnosis) -> None:
    (caveat,) = reworded(diagnosis.findings, diagnosis.evaluation, Scripted(lambda sentence: None)).caveats
    assert "there was no answer" in caveat


def test_what_is_not_asked_any_more_is_said_apart_from_what_was_refused(diagnosis) -> None:
    findings = [replace(diagnosis.confirmed[0], id=f"{number:08x}") for number in range(3)]
    answers = iter(["It is perfect.", None, None])
    writer = Scripted(lambda sentence: next(answers))
    writer.spent = True
    told = reworded(findings, diagnosis.evaluation, writer)
    assert told.findings == tuple(findings)
    refused, left = told.caveats
    assert "refused for 1 of 3 findings" in refused
    assert "no answer" not in refused
    assert "`--max-calls` left no call for 2 of 3 findings" in left


def test_an_endpoint_that_fails_costs_the_words_alone(diagnosis) -> None:
    class Broken(Scripted):
        def write(self, sentences):
            raise StoppedError("The endpoint `http://here` is gone.", hint="start it.")

    told = reworded(diagnosis.findings, diagnosis.evaluation, Broken(None))
    assert told.findings == diagnosis.findings
    assert told.caveats == ("Nothing was put into other words: The endpoint `http://here` is gone.",)


def test_where_nothing_is_confirmed_nothing_is_asked(diagnosis) -> None:
    writer = Scripted(lambda sentence: sentence)
    others = [finding for finding in diagnosis.findings if not finding.confirmed]
    assert reworded(others, diagnosis.evaluation, writer).findings == tuple(others)
    assert writer.asked == []


def test_what_a_finding_says_is_its_sentence(diagnosis) -> None:
    for finding in diagnosis.confirmed:
        said = said_of(finding, diagnosis.evaluation)
        assert said.sentence == finding.title
        assert {"no", "yes"} <= set(said.names)
        if "city" in finding.rule.columns:
            assert {"cairo", "oslo", "lima"} <= set(said.names)
    assert any("city" in finding.rule.columns for finding in diagnosis.confirmed)
