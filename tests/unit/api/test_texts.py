"""Text messages without a carrier: their parts, what is cut, and what alone in a message is a keyword."""

import pytest

from api.sms import keywords, segments


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("€" * 80, 1),  # of the extension: two places each
        ("€" * 81, 2),
        ("ş" * 70, 1),
        ("ş" * 71, 2),
        ("ş" + "x" * 134, 3),
        ("🦷" * 35, 1),  # two of UCS-2 each
        ("🦷" * 36, 2),
        ("x" * 1530, 10),
        ("x" * 1531, 11),
        ("\ud800", 1),
    ],
)
def test_a_text_has_as_many_parts_as_networks_count(text: str, parts: int) -> None:
    assert segments.count(text) == parts


def test_what_is_too_long_is_cut_behind_a_sentence_or_else_a_word() -> None:
    assert segments.shortened("  Hello.  ", 1600) == "Hello."
    assert segments.shortened("", 1600) == ""
    sentences = "This is a sentence. " * 100
    cut = segments.shortened(sentences, 1600)
    assert cut.endswith("a sentence.")
    assert 1400 < len(cut) <= 1530
    words = segments.shortened("word " * 500, 1600)
    assert words.endswith("word...")
    for text in ("ş" * 3000, "🦷" * 2000, "x" * 5000, "€" * 1600):
        cut = segments.shortened(text, 1600)
        assert segments.count(cut) <= segments.MOST
        assert cut.endswith("...")


@pytest.mark.parametrize(
    ("words", "keyword"),
    [
        ("STOP", "stop"),
        (" stop.\n", "stop"),
        ("Stop  All", "stop"),
        ("UNSUBSCRIBE!", "stop"),
        ("unstop", "start"),
        ("Help", "help"),
        ("please stop", None),
        ("Stop calling me at work, please", None),
        ("", None),
    ],
)
def test_a_keyword_is_one_where_it_stands_alone(words: str, keyword: str | None) -> None:
    assert keywords.read(words) == keyword
