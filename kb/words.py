"""Words as they are compared: folded, without their endings, and without those that mean nothing."""

import re
import unicodedata
from collections.abc import Iterator

_WORD = re.compile(r"\d+(?:[.:,]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*", re.UNICODE)
# Turkish has four letters i; a recogniser and an owner rarely agree on which one.
_FOLD = str.maketrans({"İ": "i", "I": "i", "ı": "i", "’": "'", "ß": "ss", "ø": "o", "ł": "l", "đ": "d"})

# Said as one thing, written in two words or three: both must become the same word.
_JOINED = tuple(
    (re.compile(rf"\b{parts}\b"), whole)
    for parts, whole in (
        (r"check(?:ing|ed|s)?[ -](in|out)", r"check\1"),
        (r"(sign|pick|drop|walk|follow|check)(?:ing|ed|s)?[ -](up|off|in)", r"\1\2"),
        (r"(?:wi|why|wife)[ -](?:fi|fy|i|five|fight)", "wifi"),
        (r"(e|t|x)[ -](mail|bike|ray|shirt|book|scooter|ticket)(s?)", r"\1\2\3"),
        (r"(?:electric|electrical)[ ](bike|bicycle|scooter)(s?)", r"e\1\2"),
        (r"air[ -]?con(?:ditioning|ditioned|ditioner)?", "aircon"),
    )
)

_ENGLISH = """
a about after again against all along already also an and another any anybody anyone anything are
aren't arent as at be because been before being between both but by can can't cannot cant could
couldn't did didn't didnt do does doesn't doesnt doing don't dont down during each either else ever
every everybody everyone everything for from get give go going gonna good got gotta had has hasn't
have haven't having he he's hello her here hers hey hi him his how how's hows i i'd i'll i'm i've if
im in into is isn't isnt it it's its ive just know let let's lets like me might mine more most much
must my myself need neither never no nobody not nothing now of off ok okay on one only or other our
ours out over own please quite rather same shall she she's should shouldn't since so some somebody
someone something sorry such tell than thank thanks that that'll that's thats the their them then
there there'll there's theres these they they'll they're this those through till to too uh um under
until up us very wanna want wanted was wasn't we we'll we're well were what what's whats when whens
where where's wheres which while who who's whom whos whose why will with within without won't
wondered wont would wouldn't yeah yes yet you you'd you'll you're your youre yours yourself
""".split()
_TURKISH = """
acaba ama ancak bana bazi ben beni benim bir biraz biri biz bize bizim bu bunu bunun burada cok da
daha de degil diye evet fakat gibi hangi hayir hem hep hic icin ile ise iste kac kadar ki kim lutfen
merhaba mi midir misiniz mu musunuz nasil ne neden nedir nerede nereye o olan olarak oldugu olur on
onlar onu onun peki sadece sayin selam sen siz size sizde sizin su tamam tesekkur tesekkurler var ve
veya ya yani yok
""".split()
EMPTY = frozenset(_ENGLISH) | frozenset(_TURKISH)
"""Folded words that say nothing about what is asked (English and Turkish)."""

_ASKING = frozenset(
    """
    que cual cuales cuando cuanto cuanta cuantos cuantas donde como quien por para puedo puede pueden hay
    tiene tienen tengo esta estan ustedes usted me mi se es el la los las un una de del al en y o con sin su
    was wann wie wo wer welche welcher welches wieviel kann konnen haben habt gibt ich wir ihr der die das den
    dem ein eine einen und oder mit fur von zu bei im ist sind
    quel quelle quels quelles quand combien ou comment qui peut puis avez est sont il elle vous je le les des
    une et avec sans sur votre vos
    quale quali quanto quanta dove chi posso avete sono di da nel con il lo gli
    qual quais onde quem voce tem temos o os as um uma do da dos das no na em e
    """.split()
)
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
_ENDINGS = ("ings", "ing", "edly", "ied", "ies", "ed", "es", "s", "ly")
_LONGEST = 7


def fold(text: str) -> str:
    """Lower case without accents: two spellings of one word become equal."""
    text = text.translate(_FOLD).casefold()
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def joined(text: str) -> str:
    """A folded text in which "check in", "e-mail" and "wi fi" are one word each."""
    folded = fold(text)
    for parts, whole in _JOINED:
        folded = parts.sub(whole, folded)
    return folded


def words(text: str) -> list[str]:
    """All words and numbers of a text, folded, in order."""
    return _WORD.findall(joined(text))


def stem(word: str) -> str:
    """A folded word without its ending: crude, but the same for `booking`, `booked` and `books`.

    Cut at seven letters, which does for Turkish endings what the list does for English ones.
    """
    if word[:1].isdigit():
        return word
    word = word.split("'", maxsplit=1)[0] or word
    if len(word) > 3 and not word.endswith(("ss", "us", "is")):
        for ending in _ENDINGS:
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                if ending == "es" and not word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
                    continue  # bikes is bike and s, boxes is box and es
                word = word[: -len(ending)] + ("y" if ending in ("ied", "ies") else "")
                break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiousl":
        word = word[:-1]
    if len(word) > 3 and word.endswith("e") and not word.endswith("ee"):
        word = word[:-1]
    return word[:_LONGEST]


def terms(text: str) -> list[str]:
    """Stems of the words that mean something, in order, repeated as often as they stand there."""
    return list(_terms(text))


def _terms(text: str) -> Iterator[str]:
    for word in words(text):
        if word in EMPTY:
            continue
        if _UNSPACED.match(word):
            yield from _pairs(word)
        else:
            yield stem(word)


def _pairs(run: str) -> Iterator[str]:
    # Chinese, Japanese and Thai put no space between words: two letters are nearly one.
    yield from (run[place : place + 2] for place in range(max(1, len(run) - 1)))


def question_terms(text: str) -> list[str]:
    """The terms of a question, without the words that only make it one in any language known here.

    A passage keeps them, since what is empty in one language may be a name in another.
    """
    return [
        stem(word) if not _UNSPACED.match(word) else pair
        for word in words(text)
        if word not in EMPTY and word not in _ASKING
        for pair in (_pairs(word) if _UNSPACED.match(word) else ("",))
    ]
