"""What is finished, what goes on, and what only listens: five languages as tables."""

import pytest

from pipelines.sentence_ends import ending, is_assent, is_murmur
from pipelines.turn_words import TURN_WORDS

ASKED_NUMBER = "May I have your phone number, please?"
ASKED_ADDRESS = "What is your address?"
ASKED_EMAIL = "And your email?"


@pytest.mark.parametrize(
    ("text", "language", "how"),
    [
        ("What are your opening hours on Saturday?", "en-US", "complete"),
        ("what are your opening hours", "en", "complete"),
        ("I would like to book an appointment for Tuesday.", "en", "complete"),
        ("Yes, please.", "en", "complete"),
        ("No", "en", "complete"),
        ("I think so.", "en", "complete"),
        ("Where is it?", "en", "complete"),
        ("Tuesday", "en", "unclear"),
        ("Tuesday at ten", "en", "unclear"),
        ("", "en", "open"),
        ("I would like to", "en", "open"),
        ("I would like to book an appointment for", "en", "open"),
        ("Well, I need an appointment and, um", "en", "open"),
        ("I need an appointment and...", "en", "open"),
        ("I need an appointment,", "en", "open"),
        ("My name is.", "en", "open"),
        ("Let me see.", "en", "open"),
        ("Randevu almak istiyorum.", "tr-TR", "complete"),
        ("Cumartesi açık mısınız", "tr", "complete"),
        ("Yarın sabah saat onda randevu", "tr", "unclear"),
        ("Randevu almak istiyorum ama", "tr", "open"),
        ("Şey", "tr", "open"),
        ("Quiero pedir una cita mañana.", "es-ES", "complete"),
        ("Quiero pedir una cita para", "es", "open"),
        ("Me llamo", "es", "open"),
        ("Ich möchte einen Termin vereinbaren.", "de-DE", "complete"),
        ("Ich möchte einen Termin für", "de", "open"),
        ("Mein Name ist", "de", "open"),
        ("Je voudrais prendre rendez-vous.", "fr-FR", "unclear"),
        ("Je voudrais prendre rendez-vous pour ma fille.", "fr-FR", "complete"),
        ("I need an appointment.", "en", "unclear"),
        ("Hi, my name is Ann and I need a cleaning", "en", "unclear"),
        ("I need a cleaning on Monday in the morning.", "en", "complete"),
        ("I would like to know how much it costs.", "en", "complete"),
        ("I need an appointment. Is Monday free?", "en", "complete"),
        ("My tooth hurts, I need help", "en", "complete"),
        ("Quisiera reservar una cita", "es", "unclear"),
        ("Ich brauche einen Termin", "de", "unclear"),
        ("Ich brauche einen Termin am Montag.", "de", "complete"),
        ("Je voudrais prendre rendez-vous pour", "fr", "open"),
        ("Je m'appelle", "fr", "open"),
        ("Oui", "fr", "complete"),
        ("こんにちは、予約したいのですが", "ja", "unclear"),
        ("I would like to", "xx", "unclear"),
    ],
)
def test_a_sentence_is_finished_or_goes_on(text: str, language: str, how: str) -> None:
    assert ending(text, language) == how


@pytest.mark.parametrize(
    ("text", "language", "asked", "how"),
    [
        ("My number is 555", "en", "", "open"),
        ("My number is 555. 0134", "en", "", "open"),
        ("five five five", "en", "", "open"),
        ("Five, five, five.", "en", ASKED_NUMBER, "open"),
        ("555-013-4477", "en", ASKED_NUMBER, "unclear"),
        ("It's five five five oh one three four four seven seven", "en", ASKED_NUMBER, "unclear"),
        ("A table for two.", "en", "", "unclear"),
        ("My email is peter dot johnson", "en", "", "open"),
        ("peter at", "en", ASKED_EMAIL, "open"),
        ("My email is peter at example dot com.", "en", "", "complete"),
        ("I live at 12 Main Street", "en", "", "open"),
        ("12 Main Street", "en", ASKED_ADDRESS, "open"),
        ("12 Main Street, Springfield, 49007", "en", ASKED_ADDRESS, "unclear"),
        ("J O H", "en", "", "open"),
        ("Do you want my address?", "en", "", "complete"),
        ("Numaram beş yüz otuz iki", "tr", "", "open"),
        ("Mi número es seis uno dos", "es", "", "open"),
        ("Meine Nummer ist null eins sieben", "de", "", "open"),
        ("Mon numéro c'est zéro six", "fr", "", "open"),
    ],
)
def test_what_is_dictated_is_open_until_it_is_whole(text: str, language: str, asked: str, how: str) -> None:
    assert ending(text, language, asked) == how


@pytest.mark.parametrize(
    ("text", "language", "assents", "murmurs"),
    [
        ("Uh-huh.", "en", True, True),
        ("Mm-hmm", "en", True, True),
        ("Yeah, okay.", "en", True, False),
        ("Stop.", "en", False, False),
        ("Okay but wait", "en", False, False),
        ("Hı hı", "tr", True, True),
        ("Evet", "tr", True, False),
        ("Aha, genau.", "de", True, False),
        ("Mhm", "fr", True, True),
        ("", "en", False, False),
        ("Uh-huh", "xx", False, False),
    ],
)
def test_who_only_listens_says_so(text: str, language: str, assents: bool, murmurs: bool) -> None:
    assert (is_assent(text, language), is_murmur(text, language)) == (assents, murmurs)


def test_words_are_written_as_they_are_looked_up() -> None:
    from pipelines.sentence_ends import plain

    for words in TURN_WORDS.values():
        for group in (words.wants_more, words.starts, words.short, words.assents, words.murmurs):
            assert all(word == plain(word) for word in group)
