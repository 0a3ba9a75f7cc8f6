"""Whether other words still say what a sentence says: its numbers and their roles, its names, nothing turned around."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Said", "refusal"]

LONGEST = 2.0
"""Times the length of the sentence that other words may have."""

_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-−]?)(?P<digits>\d(?:[\d,]*\d)?(?:\.\d+)?(?:[eE][-+−]?\d+)?)(?:s|th|st|nd|rd)?"
    r"(?![\w]|\.\d)\s*(?P<unit>%|per ?cent(?:age points?)?\b|points?\b|pp\b)?", re.IGNORECASE,
)  # fmt: skip
_RANGE = re.compile(r"\s*(?:to|and|through|–|—|-)\s*")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_MARKUP = re.compile(r"[*#`<>|~\[\]{}\\]|__|https?:|www\.|!\(")

_PLUS = r"over|above|beyond|past|after|exceed(?:s|ing)?|(?:more|greater|higher|larger|older|bigger|later) than"
_MINUS = r"under|below|before|(?:less|fewer|lower|smaller|younger|earlier) than"
_BEFORE = (
    ("least", r"at least|no (?:less|fewer|lower) than|not (?:less|fewer|under|below)(?: than)?|from"),
    ("most", r"at most|up to|no more than|not (?:more|over|above)(?: than)?|until"),
    ("more", rf"(?:{_PLUS})|more(?: \w+){{1,6}} than"), ("less", rf"(?:{_MINUS})|(?:less|fewer)(?: \w+){{1,6}} than"),
)  # fmt: skip
_AFTER = (
    ("least", r"(?:or|and) (?:more|over|above|older|higher|greater|longer|later|up|upwards|beyond)|on\b"),
    ("most", r"(?:or|and) (?:less|under|below|younger|lower|fewer|shorter|earlier|smaller)"),
)  # fmt: skip
_OTHER = re.compile(r"(\w+er)(?: \w+){0,5} than(?: (?:grade|the|a|an))?\s*$", re.IGNORECASE)

_FUNCTION = frozenset(
    re.findall(
        r"\w+",
        "a an the is are was were be been being am and or of in on at to by for from with within whose where which "
        "that this these those there their its it they them as has have had do does did among between over above under "
        "below more less fewer than least most up row rows image images text texts example examples case cases roughly "
        "labelled class label value values",
    )
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|except|excluding|excludes?|unless|unlike|lack\w*"
    r"|\w+n['’]t|other than|apart from|absent|absence|non)\b", re.IGNORECASE,
)  # fmt: skip
_MARKERS = re.compile(
    r"\b(?:elsewhere|others?|otherwise|rest|remain\w*|outside|comparable|unlike|instead|contrast|against|compared|versus"
    r"|vs|overall|everything else|everyone else|anything else|baseline|general\w*|usual\w*)\b", re.IGNORECASE,
)  # fmt: skip
_WRONG = re.compile(
    r"\b(?:wrong\w*|err|errs|erred|erring|errors?|mistak\w*|misclassif\w*|mispredict\w*|misread|incorrect\w*|inaccura\w*"
    r"|fail\w*)\b", re.IGNORECASE,
)  # fmt: skip
_CLAIMS = re.compile(
    r"\b(?:correct\w*|right|rightly|accura\w*|success\w*|reliab\w*|better|best|improv\w*|well|good|fine|fewer|less|lower"
    r"|rare\w*|seldom|little|small\w*|decreas\w*|drop\w*|reduc\w*|under|below|fell|falls?|fallen|rose|rises?|risen|grew|grows?"
    r"|grown|increas\w*|because|caus\w*|due|therefore|thus|hence|why"
    r"|leads?|results?|always|all|every|entire\w*|only|sole\w*|whole|significan\w*|pro[vo]\w*|certain\w*|sure\w*"
    r"|guarant\w*|bias\w*|unfair\w*|discriminat\w*|danger\w*|severe\w*|drastic\w*|dramatic\w*|huge|vast|tiny|nearly|almost"
    r"|about|approximate\w*|roughly|around|some|few|several|many|most|mostly|majority|minority|half|thirds?|quarters?"
    r"|twice|double\w*|triple\w*|thrice|dozens?|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty"
    r"|hundreds?|thousands?|millions?|\w+fold|should|must|recommend\w*|sorry|please|certainly|here is|here['’]s)\b",
    re.IGNORECASE,
)  # fmt: skip
_PLAIN = frozenset(
    re.findall(
        r"\w+",
        "model classifier system prediction predictions predicted answer answers case cases person persons "
        "people entry entries record records sample samples item items member members group groups subset "
        "slice set time times share rate proportion percentage percent per cent difference gap interval "
        "confidence level limits bound bounds range ranges ranging lying lies lie is when while whereas where "
        "once if then here so such each both either but also we us you one ones out get gets got getting go "
        "goes make makes made making give gives given giving take takes taken read reads say says said show "
        "shows shown see seen find found come comes stand stands amount amounts reach reaches happen happens "
        "occur occurs put puts being called named mean means average class classes digit category type value "
        "values column higher high often frequently against compare comparison aged ages year years old older "
        "younger above beyond past exceed exceeds exceeding greater larger bigger longer later earlier "
        "smaller lower shorter equal equals word words sentence contain contains containing "
        "showing plus as than any same like else everyone everything anything span spans spanning extend extends "
        "run runs running then turn turns turned respectively corresponding given this these those there",
    )
)
"""Besides those of the sentence: with these one can put it otherwise, and say nothing of one's own."""
_TURNED = (
    ("left", "right"), ("top", "bottom"), ("dark", "bright"), ("dark", "light"), ("darker", "brighter"),
    ("darker", "lighter"), ("thick", "thin"), ("thicker", "thinner"), ("sharp", "blurry"), ("sharper", "blurrier"),
    ("warm", "cool"), ("warmer", "cooler"), ("wide", "narrow"), ("wider", "narrower"), ("tall", "short"),
    ("taller", "shorter"), ("long", "short"), ("longer", "shorter"), ("before", "after"), ("first", "last"),
    ("early", "late"), ("earlier", "later"), ("with", "without"), ("positive", "negative"), ("true", "false"),
    ("high", "low"), ("higher", "lower"), ("inside", "outside"), ("missing", "present"), ("male", "female"),
    ("men", "women"), ("yes", "no"), ("day", "night"), ("old", "young"), ("older", "younger"), ("large", "small"),
    ("larger", "smaller"), ("smoother", "rougher"), ("smoother", "textured"), ("further", "nearer"),
    ("harder", "easier"), ("up", "down"), ("include", "exclude"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a sentence says, taken apart.

    rule             the rule in words
    effect           what was measured, in words
    inside, outside  the parts of `effect` with the number of members and of the others
    level            of the interval, "95 %"
    wrong            the metric is the share of wrong rows
    detail           the part of `effect` that says which way they are wrong, ""
    names            class names, and values of the rule's columns, whether the sentence has them or not
    """

    rule: str
    effect: str
    inside: str
    outside: str
    level: str | None
    wrong: bool
    detail: str = ""
    names: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.rule}: {self.effect}"


@dataclass(frozen=True, kw_only=True)
class _Number:
    """A number in words: its value as it is compared, its unit, and where it stands."""

    value: float
    unit: str
    start: int
    stop: int

    @property
    def key(self) -> tuple[float, str]:
        return self.value, self.unit


def refusal(said: Said, words: str) -> str:
    """Why other words do not say the same; "" where nothing was found against them.

    Refused are words with another number, or one in another role, unit or direction; without a name or a word of the
    rule, or with a name that the sentence does not have; with more or fewer negations; with a cause, a judgement or a
    quantity of their own; words of their own; that are more than twice as long, more than a paragraph, or marked up.
    """
    checks = (
        _form(said.sentence, words), _numbers(said, words), _roles(said, words), _directions(said, words),
        _kept(said, words), _joined(said, words), _added(said, words),
    )  # fmt: skip
    return next(filter(None, checks), "")


def _form(original: str, words: str) -> str:
    if len(_WORD.findall(words)) < 3:
        return "they say nothing"
    if len(words) > LONGEST * len(original):
        return "they are more than twice as long"
    plain = all(unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for one in words)
    if not plain and not all(one in original for one in words if not one.isprintable()):
        return "they are more than one paragraph" if "\n" in words else "they hold hidden characters"
    return "they are marked up" if set(_MARKUP.findall(words)) - set(_MARKUP.findall(original)) else ""


def _found(words: str) -> list[_Number]:
    """The numbers in words, in their order; the first of a range has the unit of the second."""
    found: list[_Number] = []
    for match in _NUMBER.finditer(words):
        said = (match["unit"] or "").lower()
        unit = "%" if said in ("%", "percent", "per cent") else "points" if said else ""
        value = float((match["sign"] + match["digits"]).replace(",", "").replace("−", "-"))
        found.append(_Number(value=value, unit=unit, start=match.start("sign"), stop=match.end()))
    for at in range(len(found) - 2, -1, -1):
        here, after = found[at], found[at + 1]
        if not here.unit and after.unit and _RANGE.fullmatch(words[here.stop : after.start]):
            found[at] = _Number(value=here.value, unit=after.unit, start=here.start, stop=here.stop)
    return found


def _numbers(said: Said, words: str) -> str:
    there, offered = ({one.key for one in _found(text)} for text in (said.sentence, words))
    if offered - there:
        return "they have a number that is not in the sentence"
    return "they lack a number of the sentence" if there - offered else ""


def _roles(said: Said, words: str) -> str:
    """The rule comes first, then the members' number, then that of the others; ranges and levels stay what they are."""
    found = _found(words)
    inside, outside = (_found(part) for part in (said.inside, said.outside))
    wrong_role = "they give a number another role"
    if inside and outside and inside[0].key != outside[0].key:
        first, second = (_first(found, side[0].key) for side in (inside, outside))
        if first is None or second is None or first > second:
            return wrong_role
        marked = {one.lower() for one in _MARKERS.findall(said.rule)}
        if any(one.lower() not in marked for one in _MARKERS.findall(words[:first])):
            return wrong_role
        if not _MARKERS.search(words, first):
            return "they do not say what the second number is of"
        late = [token for token in _content(said.rule) if not _has(token, words[:first])]
        if late:
            return "they do not say first whom the numbers are about"
    if said.level is not None and not _is_level(said.level, words, found):
        return wrong_role
    ranges, kept = _ranges(said.effect), _ranges(words)
    return "" if ranges <= kept else "they take a range apart"


def _first(found: Sequence[_Number], key: tuple[float, str]) -> int | None:
    return next((one.start for one in found if one.key == key), None)


def _is_level(level: str, words: str, found: Sequence[_Number]) -> bool:
    """Whether the interval's level still stands beside the word for it."""
    key = _found(level)[0].key
    near = (words[max(0, one.start - 40) : one.stop + 30] for one in found if one.key == key)
    return any(re.search(r"interval|confidence|limits", part, re.IGNORECASE) for part in near)


def _ranges(words: str) -> set[tuple[tuple[float, str], tuple[float, str]]]:
    found = _found(words)
    return {
        (one.key, two.key) for one, two in pairwise(found)
        if two.unit and _RANGE.fullmatch(words[one.stop : two.start])
    }  # fmt: skip


def _head(said: Said, words: str) -> str:
    """What stands before the number of the members; all words where it is not known which that is."""
    inside = _found(said.inside)
    first = _first(_found(words), inside[0].key) if inside else None
    return words if first is None else words[:first]


def _directions(said: Said, words: str) -> str:
    """Each cut of the rule lies on the same side."""
    wanted, offered = (_sides(text) for text in (said.rule, _head(said, words)))
    later = _sides(words)
    for key, sides in wanted.items():
        if offered.get(key) != sides or not later[key] <= sides | {""}:
            return "they turn a cut around"
    return ""


def _sides(words: str) -> dict[tuple[float, str], set[str]]:
    """On which sides of each number rows lie."""
    sides: dict[tuple[float, str], set[str]] = {}
    for number in _found(words):
        sides.setdefault(number.key, set()).add(_direction(words, number))
    return sides


def _direction(words: str, number: _Number) -> str:
    """On which side of a number the rows lie: "more", "least", "less", "most", an adjective, or ""."""
    head, tail = words[: number.start].lower(), words[number.stop :].lower()
    for side, pattern in _AFTER:
        # "over 1.27 and less noisy than 0.009" says nothing more of 1.27.
        ends = rf"\s*(?:\S+ )?(?:{pattern})\b(?!(?: [\w-]+){{0,6}} than|\s+\d)"
        if re.match(ends, tail) and not re.match(r"\s*[,;:.)]", tail):
            return side
    for side, pattern in _BEFORE:
        if re.search(rf"\b(?:{pattern})(?: the)?(?: age| value)?(?: of)?\s*$", head):
            return side
    other = _OTHER.search(head)
    return other[1] if other else ""


def _tokens(words: str) -> list[str]:
    return [token.lower() for token in _WORD.findall(words)]


def _content(words: str) -> list[str]:
    """The words that carry meaning; numbers are looked at by themselves."""
    return [token for token in _tokens(words) if token not in _FUNCTION and not token.isdigit() and len(token) > 1]


def _has(token: str, words: str) -> bool:
    """Whether words have a token, in any of its forms."""
    known = _tokens(words)
    if any(character.isdigit() for character in token):
        return token in known or token.removesuffix("s") in known
    stem = token if len(token) <= 4 else token[: max(4, len(token) - 3)]
    return any(one.startswith(stem) or one == token.removesuffix("s") for one in known)


def _kept(said: Said, words: str) -> str:
    """Names, the rule's words, and what went wrong are still there."""
    bare = f" {' '.join(_tokens(words))} "
    original = f" {' '.join(_tokens(said.sentence))} "
    for name in said.names:
        key = " ".join(_tokens(name))
        if key and f" {key} " in original and not re.search(rf" {re.escape(key)}s? ", bare):
            return "they lack a name of the sentence"
    if any(not _has(token, words) for token in _content(said.rule)):
        return "they lack a word of the rule"
    if said.wrong:
        return "" if _WRONG.search(words) else "they do not say what the numbers are"
    missing = [token for token in _content(said.inside) if not _has(token, words)]
    return "they do not say what the numbers are" if missing else ""


def _joined(said: Said, words: str) -> str:
    """What belongs together in the rule still does: each cut its column, values in their order, "and" no "or"."""
    cuts, offered_cuts = (_subjects(said.rule, text) for text in (said.rule, _head(said, words)))
    # Of one number alone "over 60 years of age" is as good as "of age over 60".
    if len(cuts) > 1 and any(offered_cuts.get(key) != subjects for key, subjects in cuts.items()):
        return "they join what does not belong together"
    keys = [" ".join(_tokens(name)) for name in said.names]
    rule, offered = (f" {' '.join(_tokens(text))} " for text in (said.rule, words))
    there = sorted((key for key in set(keys) if _place(key, rule) >= 0), key=lambda key: _place(key, rule))
    places = [_place(key, offered) for key in there]
    if places != sorted(places) or _alternatives(said.sentence) != _alternatives(words):
        return "they join what does not belong together"
    return "" if _same_way(said.detail, words) else "they say otherwise which way it errs"


def _place(name: str, words: str) -> int:
    """Where a name, or its plural, stands first among words with a blank around each; -1 where it does not."""
    found = re.search(rf" {re.escape(name)}s? ", words) if name else None
    return -1 if found is None else found.start()


def _subjects(rule: str, words: str) -> dict[tuple[float, str], set[str]]:
    """Before each number the last word of the rule: the column that it cuts."""
    known = set(_content(rule))
    subjects: dict[tuple[float, str], set[str]] = {}
    for number in _found(words):
        before = reversed(_tokens(words[: number.start]))
        found = next((one for token in before for one in known if _has(one, token)), "")
        subjects.setdefault(number.key, set()).add(found)
    return subjects


def _alternatives(words: str) -> int:
    """How often words say "or", "60 or more" aside."""
    sides = r"more|less|over|above|under|below|older|younger|higher|lower|greater|fewer|longer|shorter|later|earlier"
    ends = rf"\bor (?:{sides}|smaller|larger)\b(?!(?: [\w-]+){{1,6}} than)"
    return len(re.findall(r"\bor\b", re.sub(ends, "", words, flags=re.IGNORECASE)))


def _same_way(detail: str, words: str) -> bool:
    """Whether "most cat taken for dog" is still that, and not the other way round."""
    found = re.fullmatch(r"(?:all|most)(?: (?P<given>.+?))? (?:taken for|read as) (?P<said>.+)", detail)
    if found is None:
        return all(_has(token, words) for token in _content(detail) if token not in ("mostly", "predicted"))
    bare = f" {' '.join(_tokens(words))} "

    def stands_as(name: str) -> bool:
        key = re.escape(" ".join(_tokens(name)))
        return re.search(rf" (?:for|as|into)(?: the| a| an| class| label| digit)* {key}s? ", bare) is not None

    return stands_as(found["said"]) and not (found["given"] and stands_as(found["given"]))


def _added(said: Said, words: str) -> str:
    """Nothing is denied, claimed or named that the sentence does not."""
    original = said.sentence
    if len(_NEGATION.findall(words)) != len(_NEGATION.findall(original)):
        return "they have more or fewer negations"
    there, offered = set(_tokens(original)), set(_tokens(words))
    for pair in _TURNED:
        if any(one in offered and one not in there and other in there
               for one, other in (pair, pair[::-1])):  # fmt: skip
            return "they turn a word around"
    claimed = {one.lower() for one in _CLAIMS.findall(words)} - {one.lower() for one in _CLAIMS.findall(original)}
    if claimed - there:
        return "they claim more than the sentence"
    spaced, mine = f" {' '.join(_tokens(words))} ", f" {' '.join(_tokens(original))} "
    for name in said.names:
        key = " ".join(_tokens(name))
        if key and any(character.isalpha() for character in key) and f" {key} " in spaced and f" {key} " not in mine:
            return "they name what the sentence does not"
    for match in re.finditer(r"(?<![.!?:“\"] )(?<!^)\b[A-Z]\w+", words):
        if not _has(match[0].lower(), original):
            return "they name what the sentence does not"
    own = [one.split("'")[0].split("’")[0] for one in _content(words) if not _NEGATION.fullmatch(one)]
    if any(one not in _PLAIN and not _has(one, original) and not _WRONG.fullmatch(one) and not _MARKERS.fullmatch(one)
           for one in own):  # fmt: skip
        return "they say something of their own"
    return ""
