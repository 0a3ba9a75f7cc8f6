"""Word lists of our own, small on purpose: each entry nearly always plays the part that its list names (English)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["LEXICA", "is_negation"]

NEGATION = """not no never none nobody nothing neither nor nowhere cannot without dont doesnt didnt isnt arent wasnt
werent wont wouldnt cant couldnt shouldnt aint havent hasnt hadnt nope"""
FIRST_PERSON = """i me my mine myself we us our ours ourselves i'm i've i'll i'd we're we've we'll we'd im ive"""
SECOND_PERSON = """you your yours yourself yourselves you're you've you'll you'd u ur y'all yall ya"""
HEDGES = """maybe perhaps possibly probably apparently seemingly presumably supposedly arguably roughly approximately
somewhat rather fairly seem seems seemed appear appears appeared suggest suggests suggested guess suppose tend tends
likely unlikely mostly almost nearly"""
INTENSIFIERS = """very really extremely totally absolutely completely utterly so incredibly highly truly entirely
thoroughly deeply seriously insanely ridiculously super damn too especially particularly remarkably exceptionally"""
CONTRAST = """but however although though yet despite nevertheless nonetheless whereas while unless except instead
otherwise still albeit notwithstanding"""
COMPARATIVES = """than better best worse worst more most less least bigger biggest smaller smallest larger largest
greater greatest higher highest lower lowest faster fastest slower slowest older oldest younger youngest newer newest
stronger strongest weaker weakest easier easiest harder hardest longer longest shorter shortest funnier funniest
smarter smartest cheaper cheapest richer poorer finer finest further farther rather"""
MODALS = """can could may might must shall should will would ought can't cannot couldn't mustn't shouldn't won't
wouldn't needn't mightn't cant couldnt shouldnt wont wouldnt gonna gotta"""
QUESTION_WORDS = """what who whom whose which when where why how what's who's where's how's why's"""
BARE = """dont doesnt didnt isnt arent wasnt werent wont wouldnt cant couldnt shouldnt aint havent hasnt hadnt im ive
youre youve theyre thats whats hes shes lets gonna wanna gotta kinda sorta"""
CONDITIONS = """if unless whether provided supposing otherwise"""
POSITIVE = """good great excellent wonderful amazing awesome fantastic brilliant beautiful lovely perfect superb
delightful charming enjoyable entertaining fun funny hilarious clever smart witty fresh original moving touching
heartfelt warm engaging gripping compelling fascinating impressive remarkable outstanding masterful masterpiece best
better love loved loves loving like liked likes enjoy enjoyed enjoys happy glad pleased pleasant nice fine favorite
favourite recommend recommended worth worthwhile memorable powerful rich satisfying solid strong success successful
thank thanks thrilling refreshing graceful elegant inventive intelligent sweet win winner wins won helpful easy safe
reliable friendly fast comfortable affordable hope hopeful joy joyful proud smile smiling celebrate"""
NEGATIVE = """bad terrible horrible awful dreadful poor poorly worst worse boring bored dull tedious lame stupid dumb
silly ridiculous pointless mess messy weak flat lifeless bland predictable disappointing disappointed disappointment
disappoints fail fails failed failure waste wasted wasting hate hated hates hating dislike disliked annoying annoyed
irritating ugly cheap fake broken useless worthless pathetic painful painfully sad sadly unfortunately unfunny
uninspired unoriginal mediocre clumsy contrived forced hollow empty shallow slow sloppy bloated confusing confused
incoherent lacks lacking lack problem problems wrong error errors angry afraid scared scary worry worried sick tired
lost lose loser loses losing dirty rude expensive unsafe unreliable difficult hard cry crying hurt hurts kill killed
dead death war crisis disaster disgusting nasty evil cruel trash garbage"""
COMMON = """the of and to a in is it that for was on with as be at by this had are but from or have an they which one
you were all her she there would their we him been has when who will no more if out so up said what its about than
into them can only other time new some could these two may first then do any like my now over such our me even most
made after also well did many before must through years where much your way down should because each just those
people how too us good very i he his not"""

LEXICA: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "negation": frozenset(NEGATION.split()),
        "first_person": frozenset(FIRST_PERSON.split()),
        "second_person": frozenset(SECOND_PERSON.split()),
        "hedges": frozenset(HEDGES.split()),
        "intensifiers": frozenset(INTENSIFIERS.split()),
        "contrast": frozenset(CONTRAST.split()),
        "comparatives": frozenset(COMPARATIVES.split()),
        "modals": frozenset(MODALS.split()),
        "question_words": frozenset(QUESTION_WORDS.split()),
        "conditions": frozenset(CONDITIONS.split()),
        "positive": frozenset(POSITIVE.split()),
        "negative": frozenset(NEGATIVE.split()),
        "bare": frozenset(BARE.split()),
        "common": frozenset(COMMON.split()),
    }
)
"""Lower-case words by what they do in a sentence; apostrophes are straight."""


def is_negation(word: str) -> bool:
    """Whether a lower-case word with straight apostrophes negates: of the list, or a verb with "n't"."""
    return word.endswith("n't") or word in LEXICA["negation"]
