"""Every sentence that the engine says of itself, in each language it has."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Protocol

from kb.words import fold
from pipelines.local.scripted.facts import Fact
from pipelines.local.scripted.numbers import ordinal


class LanguageNotScripted(Exception):
    """The dialog engine of this machine speaks English and Turkish; other languages need a language "
    "model"""


class Asked(Protocol):
    """What a question for a slot is made of."""

    @property
    def kind(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def asked_for(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Wording:
    """One language. Sentences are short: they are heard, not read."""

    language: str
    yes: str
    no: str
    at: str
    says: Mapping[str, str]
    agrees: re.Pattern[str]
    refuses: re.Pattern[str]
    day_names: Sequence[str]
    month_names: Sequence[str]
    topic_names: Mapping[str, str]

    def say(self, name: str, /, **values: str) -> str:
        """A sentence by its name; a value that is empty leaves no hole."""
        return " ".join(self.says[name].format(**values).split())

    def capital(self, text: str) -> str:
        """With a capital letter first; a Turkish i keeps its dot."""
        if self.language == "tr" and text[:1] == "i":
            return f"İ{text[1:]}"
        return text[:1].upper() + text[1:]

    def yes_or_no(self, folded: str) -> bool | None:
        """What a folded answer to a yes-or-no question says; None when neither."""
        text = folded.strip(" .,!?")
        refuses, agrees = bool(self.refuses.search(text)), bool(self.agrees.search(text))
        if refuses != agrees:
            return agrees
        # "No problem, yes": what is said first decides, as a person would hear it.
        if refuses and agrees:
            first_no, first_yes = self.refuses.search(text), self.agrees.search(text)
            return bool(first_no and first_yes and first_yes.start() < first_no.start())
        return None

    def greeting(self, name: str, business: str) -> str:
        """How a call begins where the owner wrote no greeting."""
        if name and business:
            return self.say("greeting_both", name=name, business=business)
        if business:
            return self.say("greeting_business", business=business)
        return self.say("greeting_name", name=name) if name else self.say("greeting")

    def day(self, day: date, today: date) -> str:
        """A date as it is said."""
        named = self.day_names[day.weekday()]
        month = self.month_names[day.month - 1]
        if self.language == "tr":
            text = f"{day.day} {month} {named}"
        else:
            text = f"{named}, {month} {ordinal(day.day)}"
        return text if abs((day - today).days) < 300 else f"{text}, {day.year}"

    def time(self, at: time) -> str:
        """A time of day as it is said."""
        if self.language == "tr":
            return f"{at.hour:02d}:{at.minute:02d}"
        if at.hour in (0, 12) and at.minute == 0:
            return "noon" if at.hour else "midnight"
        hour = at.hour % 12 or 12
        half = "AM" if at.hour < 12 else "PM"
        return f"{hour}:{at.minute:02d} {half}" if at.minute else f"{hour} {half}"

    def ask(self, slot: Asked) -> str:
        """One short question for a slot, made of what its author wrote about it."""
        return _ask_turkish(slot) if self.language == "tr" else _ask_english(slot)

    def topics(self, facts: Sequence[Fact]) -> list[str]:
        """What a caller may ask about, at most three."""
        kinds = frozenset[str]().union(*(fact.kinds for fact in facts)) if facts else frozenset()
        named = [self.topic_names[kind] for kind in self.topic_names if kind in kinds]
        titles = [
            fact.about for fact in facts if fact.about and len(fact.about) < 30 and fact.about[-1] != "?"
        ]
        return named[:3] or [title.lower() for title in dict.fromkeys(titles)][:3]

    def listed(self, parts: Sequence[str]) -> str:
        """a, b and c."""
        joint = f" {self.says['and']} "
        return joint.join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


_QUESTION = re.compile(r"^(?:how|which|what|when|where|who|whose)\b", re.IGNORECASE)
_WHETHER = re.compile(
    r"^(?:whether|true if|if|set if)\s+(?:or not\s+)?(?:the\s+)?(?:caller|customer|guest|user|client|"
    r"patient|they|he or she)s?\s+"
    r"(?P<verb>wants?|needs?|has|have|would like|likes?)\s+(?P<what>.+)$",
    re.IGNORECASE,
)
_OWNER = re.compile(
    r"\b(?:the\s+)?(?:caller|customer|guest|user|client|patient|person|visitor|member|reader|student|"
    r"borrower|renter)(?:'s|s')\s+",
    re.IGNORECASE,
)
_WHOSE = re.compile(
    r"\s+of (?:the )?(?:caller|customer|guest|user|client|patient|person|visitor|member|reader)\b",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"^(?P<what>(?:what|when|where|who|why|whose|which|how)(?: (?!of )[\w'-]+)??) "
    r"(?P<who>you|it|(?:the|an?|your|this) [\w'-]+(?: [\w'-]+){0,2}?) "
    r"(?P<verb>is|are|was|were|will|would|should|can|must)\b(?P<rest>.*)$",
    re.IGNORECASE,
)
"""A question within a sentence, its verb at the end, as descriptions have them."""
_ARTICLE = re.compile(r"^(?:the|a|an|your|desired|requested|preferred)\s+", re.IGNORECASE)


def _ask_english(slot: Asked) -> str:  # noqa: PLR0911 - a list of forms
    text = slot.asked_for
    if whether := _WHETHER.match(text):
        verb = whether["verb"].lower()
        if verb.startswith("would"):
            return f"Would you like {whether['what']}?"
        return f"Do you {'have' if verb in ('has', 'have') else verb.rstrip('s')} {whether['what']}?"
    if slot.kind == "boolean":
        text = re.sub(r"^(?:whether|true if|if|set if)\s+(?:or not\s+)?", "", text, flags=re.IGNORECASE)
        return f"{_capital(text)}, yes or no?"
    if _QUESTION.match(text):
        text = re.sub(
            r"\b(?:the )?(?:caller|customer|guest|user|client|patient) (?:wants|would like)\b",
            "you would like",
            text,
        )
        text = re.sub(r"\b(?:the )?(?:caller|customer|guest|user|client|patient)(?: is)?\b", _yours, text)
        return f"{_capital(_TOLD.sub(_asking, text))}?"
    theirs = bool(_OWNER.search(text) or _WHOSE.search(text))
    bare = _ARTICLE.sub("", _WHOSE.sub("", _OWNER.sub("", text)).strip())
    bare = re.sub(r"^(?:date and time|day and time)\b", "day and time", bare, flags=re.IGNORECASE)
    if theirs or slot.kind in ("name", "phone", "email"):
        return f"What is your {_lower(bare)}?"
    if slot.kind == "code" and (numbered := re.match(r"number of (?:the )?([\w' -]+)$", bare, re.IGNORECASE)):
        return f"What is the {numbered[1]} number?"
    if slot.kind == "number" and re.match(r"number of\b", bare, re.IGNORECASE):
        return f"How many {_lower(bare[10:])}?"
    if re.match(r"(?:local |start )?time(?: of (?:the )?day)?$", bare, re.IGNORECASE):
        return "What time would you like?"
    if re.match(r"(?:date|day)$", bare, re.IGNORECASE):
        return "What day would you like?"
    plural = bool(re.match(r"\w+s\b(?! of)", bare)) and not bare.split()[0].endswith(("ss", "us", "ess"))
    return f"What {'are' if plural and len(bare.split()) == 1 else 'is'} the {_lower(bare)}?"


def _yours(match: re.Match[str]) -> str:
    return "you are" if match.group().endswith(" is") else "you"


def _asking(match: re.Match[str]) -> str:
    """What is told as a question: "what the appointment is for" as "what is the appointment for"."""
    return f"{match['what']} {match['verb']} {match['who']}{match['rest']}"


def _ask_turkish(slot: Asked) -> str:
    kinds = {
        "date": "Hangi gün için?",
        "time": "Saat kaç için?",
        "datetime": "Hangi gün ve saat için?",
        "name": "Adınız nedir?",
        "phone": "Telefon numaranız nedir?",
        "email": "E-posta adresiniz nedir?",
    }
    return kinds.get(slot.kind) or f"{_capital(slot.asked_for)} nedir?"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


_ENGLISH = Wording(
    language="en",
    yes="yes",
    no="no",
    at="at",
    agrees=re.compile(
        r"\b(?:yes|yeah|yep|yup|yea|ya|sure|correct|right|exactly|okay|ok|fine|perfect|great|absolutely|"
        r"definitely|"
        r"of course|go ahead|please do|do it|sounds good|that works|that's it|confirm|confirmed|indeed|"
        r"good)\b"
    ),
    refuses=re.compile(r"\b(?:no|nope|nah|not|wrong|incorrect|don't|do not|never|isn't|wait|neither)\b"),
    day_names=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    month_names=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
        "November",
        "December",
    ),
    topic_names={"clock": "opening hours", "price": "prices", "phone": "how to reach the team"},
    says={
        "and": "and",
        "greeting": "Hello! How can I help you?",
        "greeting_name": "Hello, this is {name}. How can I help you?",
        "greeting_business": "Hello, you have reached {business}. How can I help you?",
        "greeting_both": "Hello, this is {name} from {business}. How can I help you?",
        "hello_again": "Hello! What can I do for you?",
        "dont_have": "I'm sorry, I don't have that information. It is best to ask the team directly. Can "
                     "I help with something else?",
        "offer": "I'm sorry, I don't have an exact answer to that. What I do know is this: {fact}",
        "offer_more": "And this: {fact}",
        "dont_have_short": "The other thing I don't have.",
        "not_for_day": "I have nothing about {day}. What I have is this: {fact}",
        "which_day": "that day",
        "didnt_hear": "I'm sorry, I did not get that. Could you say it again?",
        "thanks": "You're welcome. Is there anything else?",
        "goodbye": "Thank you for calling. Goodbye!",
        "human": "I can't put you through to a person from here. {contact}",
        "human_no_contact": "I can't put you through to a person from here, but I am happy to help with "
                            "what I know.",
        "human_callback": "I can't put you through to a person from here, but somebody can call you back.",
        "putting_through": "One moment, I'm putting you through: {target}.",
        "put_through_to_whom": "I can put you through to {targets}. To whom would you like to talk?",
        "put_through_only": "I can only put you through to {target}. Shall I?",
        "robot": "I am an automated assistant, not a person. I answer with what {business} has told me.",
        "who": "You are speaking with {name}, an automated assistant.",
        "who_no_name": "I am the automated assistant here.",
        "the_team": "the team",
        "well": "I'm fine, thank you. How can I help you?",
        "hear": "Yes, I can hear you. How can I help?",
        "wait": "Of course, take your time.",
        "acknowledged": "All right. Is there anything else?",
        "nothing_more": "All right. Thank you for calling, goodbye!",
        "help": "You can ask me about {topics}. What would you like to know?",
        "help_and_do": "You can ask me about {topics}, and I can {functions}. What would you like?",
        "help_do": "I can {functions}. What would you like?",
        "help_nothing": "Ask me anything about {business}, and I will tell you what I know.",
        "still_there": "Are you still there?",
        "nothing_to_repeat": "I have not said anything yet. How can I help you?",
        "source": "That is written in what I was given to read, under: {title}.",
        "source_prompt": "That is what {business} told me to say.",
        "no_source": "I have not told you anything yet that is written somewhere. What should I look up?",
        "read_back": "Let me read that back. {values}. Is that right?",
        "read_back_nothing": "Shall I {title}?",
        "one_moment": "One moment, please.",
        "cancelled": "All right, I have left that. Is there anything else?",
        "what_to_change": "What should I change?",
        "changed": "Changed.",
        "not_understood": "I'm sorry, I did not get that. {question}",
        "choices": "You can choose {choices}.",
        "given_up": "I'm sorry, I cannot get that right. Let us leave it, and please ask the team "
                    "directly. Can I help with something else?",
        "answer_then_ask": "{answer} {question}",
        "done": "That is done.",
        "nothing_found": "I found nothing.",
        "failed": "I'm sorry, that did not work. {reason} Would you like to try something else?",
        "true": "yes",
        "false": "no",
        "confirm_again": "Please tell me yes or no. {values}. Is that right?",
    },
)  # fmt: skip

_TURKISH = Wording(
    language="tr",
    yes="evet",
    no="hayır",
    at="saat",
    agrees=re.compile(
        r"\b(?:evet|tamam|olur|dogru|tabii|tabi|peki|elbette|kesinlikle|onayliyorum|onayla|aynen|uygun|"
        r"uygundur|yapin|harika|guzel|iyi)\b"
    ),
    refuses=re.compile(r"\b(?:hayir|yok|degil|yanlis|olmaz|istemiyorum|dur|bekle|olmasin)\b"),
    day_names=("Pazartesi", "Salı", "Çarşamba", "Perşembe", "Cuma", "Cumartesi", "Pazar"),
    month_names=(
        "Ocak", "Şubat", "Mart", "Nisan", "Mayıs", "Haziran", "Temmuz", "Ağustos", "Eylül", "Ekim",
        "Kasım", "Aralık",
    ),
    topic_names={"clock": "çalışma saatleri", "price": "fiyatlar", "phone": "iletişim bilgileri"},
    says={
        "and": "ve",
        "greeting": "Merhaba! Size nasıl yardımcı olabilirim?",
        "greeting_name": "Merhaba, ben {name}. Size nasıl yardımcı olabilirim?",
        "greeting_business": "Merhaba, {business}. Size nasıl yardımcı olabilirim?",
        "greeting_both": "Merhaba, {business}, ben {name}. Size nasıl yardımcı olabilirim?",
        "hello_again": "Merhaba! Nasıl yardımcı olabilirim?",
        "dont_have": "Üzgünüm, bu bilgi bende yok. En iyisi doğrudan ekibe sormanız. Başka bir konuda "
                     "yardımcı olabilir miyim?",
        "offer": "Üzgünüm, buna tam bir yanıtım yok. Bildiğim en yakın şey şu: {fact}",
        "offer_more": "Bir de şu: {fact}",
        "dont_have_short": "Diğer konuda bilgim yok.",
        "not_for_day": "{day} için bilgim yok. Bildiğim şu: {fact}",
        "which_day": "O gün",
        "didnt_hear": "Üzgünüm, anlayamadım. Tekrar eder misiniz?",
        "thanks": "Rica ederim. Başka bir şey var mı?",
        "goodbye": "Aradığınız için teşekkürler. Hoşça kalın!",
        "human": "Buradan sizi bir kişiye bağlayamıyorum. {contact}",
        "human_no_contact": "Buradan sizi bir kişiye bağlayamıyorum, ama bildiklerimle yardımcı "
                            "olabilirim.",
        "human_callback": "Buradan sizi bir kişiye bağlayamıyorum, ama sizi geri arayabilirler.",
        "putting_through": "Bir saniye, sizi bağlıyorum: {target}.",
        "put_through_to_whom": "Sizi şuralara bağlayabilirim: {targets}. Kiminle görüşmek istersiniz?",
        "put_through_only": "Sizi yalnızca şuraya bağlayabilirim: {target}. Bağlayayım mı?",
        "robot": "Ben bir insan değil, otomatik bir asistanım. Bana {business} tarafından verilen "
                 "bilgilerle yanıt veriyorum.",
        "who": "Ben {name}, otomatik bir asistanım.",
        "who_no_name": "Ben otomatik bir asistanım.",
        "the_team": "ekip",
        "well": "İyiyim, teşekkür ederim. Nasıl yardımcı olabilirim?",
        "hear": "Evet, sizi duyuyorum. Nasıl yardımcı olabilirim?",
        "wait": "Tabii, bekliyorum.",
        "acknowledged": "Peki. Başka bir şey var mı?",
        "nothing_more": "Peki. Aradığınız için teşekkürler, hoşça kalın!",
        "help": "Bana şunları sorabilirsiniz: {topics}. Ne öğrenmek istersiniz?",
        "help_and_do": "Bana şunları sorabilirsiniz: {topics}. Ayrıca şunu yapabilirim: {functions}. Ne "
                       "istersiniz?",
        "help_do": "Şunu yapabilirim: {functions}. Ne istersiniz?",
        "help_nothing": "Bana {business} hakkında soru sorabilirsiniz.",
        "still_there": "Orada mısınız?",
        "nothing_to_repeat": "Henüz bir şey söylemedim. Nasıl yardımcı olabilirim?",
        "source": "Bu, bana verilen bilgilerde şu başlık altında yazıyor: {title}.",
        "source_prompt": "Bunu bana {business} bildirdi.",
        "no_source": "Henüz bir yerde yazan bir şey söylemedim. Ne öğrenmek istersiniz?",
        "read_back": "Tekrar ediyorum. {values}. Doğru mu?",
        "read_back_nothing": "Onaylıyor musunuz: {title}?",
        "one_moment": "Bir saniye lütfen.",
        "cancelled": "Peki, vazgeçtim. Başka bir şey var mı?",
        "what_to_change": "Neyi değiştireyim?",
        "changed": "Değiştirdim.",
        "not_understood": "Üzgünüm, anlayamadım. {question}",
        "choices": "Seçenekler: {choices}.",
        "given_up": "Üzgünüm, bunu anlayamadım. En iyisi doğrudan ekibe sormanız. Başka bir konuda "
                    "yardımcı olabilir miyim?",
        "answer_then_ask": "{answer} {question}",
        "done": "Tamamlandı.",
        "nothing_found": "Bir şey bulamadım.",
        "failed": "Üzgünüm, bu olmadı. {reason} Başka bir şey deneyelim mi?",
        "true": "evet",
        "false": "hayır",
        "confirm_again": "Lütfen evet ya da hayır deyin. {values}. Doğru mu?",
    },
)  # fmt: skip

_ALL = {wording.language: wording for wording in (_ENGLISH, _TURKISH)}


def wording_for(language: str) -> Wording:
    """The wording of a BCP-47 tag; raises `LanguageNotScripted` where there is none."""
    found = _ALL.get(fold(language).split("-")[0].split("_")[0])
    if found is None:
        raise LanguageNotScripted
    return found
