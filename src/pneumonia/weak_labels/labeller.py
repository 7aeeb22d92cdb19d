"""The findings of a report by rules: what is named, and whether it is said to be there.

The idea is NegEx's (Chapman et al. 2001, "A simple algorithm for identifying negated findings and diseases in discharge
summaries"): words that deny reach forward, or backward, to the findings of their sentence, up to a word that ends their
reach. What only may be, and what was, is told apart as in ConText (Harkema et al. 2009). The words are in
`pneumonia.weak_labels.phrases`; docs/pretraining.md says what it cannot do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pneumonia.weak_labels.labels import NEGATIVE, POSITIVE, UNCERTAIN
from pneumonia.weak_labels.phrases import (
    ABBREVIATIONS,
    ASIDE_HEADINGS,
    FINDINGS,
    HEADINGS,
    NO_FINDING,
    NORMAL,
    TRIGGERS,
)

NEXT = 2  # words between "prior" or "resolved" and the finding that it speaks of, at most

_HEADING = re.compile(
    rf"(?:^|(?<=[.\n;]))[ \t]*(?:(?P<aside>{ASIDE_HEADINGS})|(?P<used>{HEADINGS}))[ \t]*(?::|(?=\n))",
    re.IGNORECASE | re.MULTILINE,
)
_BREAK = re.compile(
    r"\n[ \t]*\n|\n[ \t]*(?=(?:[-*•]|\(?\d{1,2}[.)])[ \t])"  # a blank line; an item of a list
    r"|(?<=[.!])\s+|(?<=[a-z]\?)\s+(?=[A-Z])|(?<=[a-z]{2}\.)(?=[A-Z][a-z])"
)
_MENTIONS = [(finding, re.compile(rf"\b(?:{words})\b")) for finding, words in FINDINGS.items()]
_NO_FINDING = re.compile(rf"\b(?:{'|'.join(NO_FINDING)})\b")
_NORMAL = [(re.compile(words), findings) for words, findings in NORMAL.items()]
_TRIGGERS = [(kind, re.compile(words)) for kind, several in TRIGGERS.items() for words in several]
_EITHER = re.compile(r"\s*(?:[\w-]+ ){0,3}(?:or|versus|vs\.?|and/or) (?:[\w-]+ ){0,4}")
_ABBREVIATED = re.compile(rf"\b{ABBREVIATIONS}\.$|^\(?\d{{1,2}}\.$", re.IGNORECASE)
_NUMBER_OF = re.compile(r"\bno\.$", re.IGNORECASE)  # "No. 2"
_ITEM = re.compile(r"^(?:\(?\d{1,2}[.)]|[-*•]) ")


class Span(NamedTuple):
    """Some characters of a sentence and what they are: a finding, or a kind of trigger."""

    start: int
    end: int
    what: str


def label(text: str) -> dict[str, float]:
    """The findings that a report speaks of: 1 there, 0 not there, -1 uncertain; what is not mentioned is absent.

    Of several mentions one that says "there" counts most, then an uncertain one. "No effusion or consolidation, cannot
    exclude early pneumonia." gives Effusion 0, Consolidation 0, Pneumonia -1.

    Arguments:
        text: English; with headings or without.
    """
    found: dict[str, set[float]] = {}
    for sentence in sentences(text):
        for finding, state in _of_sentence(sentence):
            found.setdefault(finding, set()).add(state)
    order = (POSITIVE, UNCERTAIN, NEGATIVE)
    return {finding: next(s for s in order if s in found[finding]) for finding in FINDINGS if finding in found}


def sentences(text: str) -> list[str]:
    """The sentences of a report that describe the image, in lower case; what stands under INDICATION and the like is left out.

    A section that describes no image ends at the next heading that is known, not at a blank line.
    """
    found: list[str] = []
    for part in _described(text):
        whole = ""
        for piece in filter(None, (" ".join(piece.split()) for piece in _BREAK.split(part))):
            if whole and not (_ABBREVIATED.search(whole) or (_NUMBER_OF.search(whole) and piece[0].isdigit())):
                found.append(whole)
                whole = ""
            whole = f"{whole} {piece}".strip()
        found.append(whole)
    plain = (_ITEM.sub("", sentence).rstrip(".! ").lower() for sentence in found)
    return [sentence for sentence in plain if sentence]


def _described(text: str) -> Iterator[str]:
    """The text under each heading, but those whose text is no finding."""
    start, aside = 0, False
    for heading in _HEADING.finditer(text):
        if not heading[0].endswith(":") and not heading[0].isupper():
            continue  # a word that happens to stand alone in its line
        if not aside:
            yield text[start : heading.start()]
        start, aside = heading.end(), heading["aside"] is not None
    if not aside:
        yield text[start:]


def _of_sentence(sentence: str) -> list[tuple[str, float]]:
    triggers = _longest(Span(*match.span(), kind) for kind, words in _TRIGGERS for match in words.finditer(sentence))
    named = [Span(*match.span(), finding) for finding, words in _MENTIONS for match in words.finditer(sentence)]
    aside = [Span(*match.span(), "") for match in _NO_FINDING.finditer(sentence)]
    mentions = [mention for mention in _longest([*named, *aside]) if mention.what]
    states = [_state(sentence, mention, triggers) for mention in mentions]
    for i in range(1, len(mentions)):  # "atelectasis or pneumonia": one of them
        between = sentence[mentions[i - 1].end : mentions[i].start]
        if POSITIVE in states[i - 1 : i + 1] and states[i] != NEGATIVE != states[i - 1] and _EITHER.fullmatch(between):
            states[i - 1 : i + 1] = [state if state is None else UNCERTAIN for state in states[i - 1 : i + 1]]
    normal = [(finding, NEGATIVE) for words, several in _NORMAL if words.search(sentence) for finding in several]
    told = zip(mentions, states, strict=True)
    # One word may name two findings: hydropneumothorax.
    return normal + [
        (other.what, state)
        for mention, state in told
        if state is not None
        for other in named
        if (other.start, other.end) == (mention.start, mention.end)
    ]


def _longest(spans: Iterator[Span] | list[Span]) -> list[Span]:
    """Of spans that overlap the longest, in the order of the sentence."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start - span.end, span)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


def _state(sentence: str, mention: Span, triggers: list[Span]) -> float | None:
    """What the triggers say of one mention; None: nothing about this image."""
    low = max((t.end for t in triggers if t.what == "stop" and t.end <= mention.start), default=0)
    high = min((t.start for t in triggers if t.what == "stop" and t.start >= mention.end), default=len(sentence))
    reach = [t for t in triggers if low <= t.start and t.end <= high]
    before = [t for t in reach if t.start < mention.end and t.what in ("no", "maybe", "aside", "prior", "gone")]
    before = [t for t in before if t.what not in ("prior", "gone") or _next(sentence, t, mention)]
    after = next((t for t in reach if t.start >= mention.end and t.what in ("was_no", "was_maybe", "gone")), None)
    if after is not None and _reaches_back(sentence[mention.end : after.start], reach, mention, after):
        return UNCERTAIN if after.what == "was_maybe" else NEGATIVE
    if not before:
        return POSITIVE
    nearest = before[-1]
    if nearest.what in ("no", "gone"):
        return NEGATIVE
    if nearest.what == "maybe":
        # "no opacity to suggest pneumonia" denies both; "no opacity, possible pneumonia" does not.
        denied = [t for t in before if t.what == "no" and not re.search(r",|\band\b", sentence[t.end : nearest.start])]
        return NEGATIVE if denied else UNCERTAIN
    return None


def _next(sentence: str, trigger: Span, mention: Span) -> bool:
    between = sentence[trigger.end : mention.start]
    return trigger.end <= mention.start and len(between.split()) <= NEXT and not re.search(r"[,;]", between)


def _reaches_back(between: str, reach: list[Span], mention: Span, after: Span) -> bool:
    """Whether what stands after a mention speaks of it, and of no later one alone."""
    if any(mention.end <= t.start < after.start and t.what in ("no", "maybe", "aside") for t in reach):
        return False
    if re.search(r"\b(?:is|are|was|were|has|have|remains?|persists?|with)\b", between):
        return False
    return "," not in between or between.strip() == "," or re.search(r"\b(?:or|and)\b", between) is not None
