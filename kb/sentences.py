"""Cutting texts into sentences and list lines, each under what it is about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st ave rd no nos vs etc approx inc ltd co corp dept est ext tel fig min max incl excl "
    "sr sra dra avda av pág núm aprox tfno pl mme mlle env rés hr fr bd dott sig "
    "e.g i.e jr sr u.s u.k sok cad mah apt blv vb vs vd örn bkz ör av doç yrd str nr ca bzw z.b usw".split()
)
_NAMES_OF_TIME = re.compile(
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|(?:mon|tue|wed|thu|fri|sat|sun)\b"
    r"|(?:january|february|march|april|may|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)
# Chinese and Japanese put no space after a full stop; Arabic and Hindi have marks of their own.
_END = re.compile(r"([.!?…؟۔।]+)([\"'”’)\]]*)\s+|([。！？｡]+)([”’」』）]*)\s*")
LIST_MARK = re.compile(r"^\s*(?:[-*•·–—▪‣]|\(?\d{1,2}[.)]|\(?[a-z]\))\s+")
_HEADING_MARK = re.compile(r"^\s*#{1,6}\s+")
QUESTION_MARK = re.compile(r"^\s*(?:q|question|soru|s)\s*[:.)]\s*", re.IGNORECASE)
ANSWER_MARK = re.compile(r"^\s*(?:a|answer|cevap|c)\s*[:.)]\s*", re.IGNORECASE)
# A line that ends in one of these goes on in the next, whatever letter that begins with.
_GOES_ON = re.compile(
    r"(?:,|\b(?:and|or|but|the|an?|of|on|in|at|to|from|by|for|with|than|is|are|our|your|every|each|per|until|ve|"
    r"ile|veya))$",
    re.IGNORECASE,
)
RULE = re.compile(r"^\s*[-=_*]{3,}\s*$")
TABLE_RULE = re.compile(r"^\s*\|?[\s:|-]+\|[\s:|-]*$")


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence or list line. `about` is the heading or the written question it stands under."""

    text: str
    about: str = ""


def sentences(text: str) -> list[str]:
    """Sentences of running text in one line, in order.

    Abbreviations, initials, prices (3.50), times (9 a.m.) and phone numbers do not end one.
    """
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        if match[3] or _ends_sentence(text[start : match.start()], match[1], text[match.end() :]):
            found.append(text[start : match.end()].strip())
            start = match.end()
    if rest := text[start:].strip():
        found.append(rest)
    return found


def _ends_sentence(before: str, mark: str, after: str) -> bool:
    if not after or mark != ".":
        return True
    following = after.lstrip("\"'“‘([*_")[:1]
    if following.islower():
        return False
    last = before.rsplit(maxsplit=1)[-1] if before.split() else ""
    word = last.strip("\"'“”()[]*").casefold()
    if word in ("a.m", "p.m", "am", "pm"):
        return not _NAMES_OF_TIME.match(after)
    if word in _ABBREVIATIONS:
        return False
    if len(word) == 1 and word.isalpha():  # an initial: J. Smith
        return False
    # An ordinal of Turkish or German (3. Kat), when nothing but the number precedes the point.
    return not (word.isdigit() and len(word) <= 2 and len(before.split()) == 1)


def statements(text: str) -> list[Statement]:
    """Everything a text says, one sentence or list line each, under the heading it stands under."""
    return list(_statements(text))


def _statements(text: str) -> Iterator[Statement]:
    heading = ""
    question = ""
    lead = ""
    lines = unwrapped(text)
    for number, raw in enumerate(lines):
        line = raw
        if not line.strip() or RULE.match(line) or TABLE_RULE.match(line):
            question = lead = ""
            continue
        if is_heading(line, lines[number + 1 :]):
            heading = plain(_HEADING_MARK.sub("", line)).rstrip(":").strip()
            question = lead = ""
            continue
        is_answered = number + 1 < len(lines) and bool(ANSWER_MARK.match(lines[number + 1]))
        if QUESTION_MARK.match(line) and (line.rstrip().endswith("?") or is_answered):
            question = plain(QUESTION_MARK.sub("", line))
            continue
        is_item = bool(LIST_MARK.match(line))
        line = plain(LIST_MARK.sub("", ANSWER_MARK.sub("", line) if question else line))
        if not is_item:
            lead = ""
        about = " ".join(filter(None, (heading, question or lead)))
        for sentence in sentences(line):
            if sentence.endswith("?") and not question:
                # A written question belongs to the answer after it, and is never an answer itself.
                question, about = sentence, " ".join(filter(None, (heading, sentence)))
                continue
            if sentence.endswith(":") and not is_item:
                lead = sentence.rstrip(":")
                about = " ".join(filter(None, (heading, lead)))
                continue
            yield Statement(sentence, about)


def unwrapped(text: str) -> list[str]:
    """Lines, with those joined again that were only wrapped at a margin."""
    joined: list[str] = []
    for raw in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = raw.rstrip()
        previous = joined[-1] if joined else ""
        if (
            len(previous) > 50
            and line[:1].strip()
            and not LIST_MARK.match(line)
            and not _HEADING_MARK.match(line)
            and previous[-1] not in ".!?:;|"
            and (line[0].islower() or line[0].isdigit() or _GOES_ON.search(previous))
        ):
            joined[-1] = f"{previous} {line.strip()}"
        else:
            joined.append(line)
    return joined


def is_heading(line: str, following: list[str]) -> bool:
    """Whether a line names what comes after it instead of saying something itself."""
    if _HEADING_MARK.match(line):
        return True
    text = line.strip()
    if LIST_MARK.match(line) or len(text) > 60 or "|" in text:
        return False
    if text.startswith("**") and text.rstrip(":").endswith("**") and len(text.split()) <= 8:
        return True
    if text.endswith(":"):
        return len(text.split()) <= 5 and bool(following) and not LIST_MARK.match(following[0])
    if text[-1] in ".!?;,":
        return False
    has_more = bool(following) and bool(following[0].strip())
    return len(text.split()) <= 4 and has_more and not re.search(r"\d|:", text) and text[:1].isupper()


def plain(text: str) -> str:
    """One line without Markdown: what is left can be spoken."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^<>]{1,80}>", " ", text)
    text = re.sub(r"(\*\*|__|`|~~)", "", text)
    text = re.sub(r"(?<!\w)[*_](\S[^*_]*\S|\S)[*_](?!\w)", r"\1", text)
    if text.count("|") >= 2:
        text = ", ".join(cell.strip() for cell in text.split("|") if cell.strip())
    return " ".join(text.split())
