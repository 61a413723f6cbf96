"""What tells, language by language, that a sentence is not over: the data behind `sentence_ends`.

Everything is lower case and without the accents that recognisers leave out (see `sentence_ends.plain`).
A language that is not here is judged by the length of its pauses alone.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class TurnWords:
    """One language. Words are matched whole, phrases as whole words in a row."""

    wants_more: frozenset[str]
    """A sentence does not end with these: conjunctions, prepositions, articles, auxiliaries."""
    fillers: frozenset[str]
    """Said while thinking."""
    starts: frozenset[str]
    """Phrases that announce what is about to be said."""
    short: frozenset[str]
    """Complete although it is short."""
    assents: frozenset[str]
    """Words that only say "I am listening" while somebody else talks."""
    murmurs: frozenset[str]
    """Assents that are no word, and so never an answer of their own while the agent talks."""
    digits: frozenset[str]
    """One digit as it is spoken, and words that stand between digits."""
    phone: frozenset[str]
    email: frozenset[str]
    address: frozenset[str]
    spelling: frozenset[str]
    phone_digits: int
    """A telephone number is not complete with fewer."""
    wishes: frozenset[str] = frozenset()
    """Phrases with which somebody begins to say what they want."""
    settles: frozenset[str] = frozenset()
    """Words after which a wish is whole: when, for whom, where. Without one of them it may well go on."""
    finishes: tuple[str, ...] = ()
    """Where the verb stands last: how the last word of a finished sentence ends. Empty: says nothing."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.split(",") if phrase.strip())


_ENGLISH = TurnWords(
    wants_more=_words(
        "and or but so because since if when while although unless until that than then whether "
        "a an the my your his her its our their this these those some any every each another "
        "to of for from in on at by with without about into onto between under over near before after "
        "around during through against as like i we they he she is are was were am be been being do does "
        "did have has had can could will would should shall may might must i'm i'd i'll i've we'd we're "
        "we'll it's that's there's what's also maybe perhaps not very really just only even "
        "mr mrs ms dr st plus dot dash underscore want need wanna gonna"
    ),
    fillers=_words("um uh er erm uhm hmm hm mm ah eh well like so"),
    starts=_phrases(
        "my name is, my number is, the number is, my phone number is, my email is, my e-mail is, "
        "my address is, the address is, my date of birth is, my birthday is, i was born on, it is, "
        "it's, you can reach me at, my account number is, my order number is, my card number is, "
        "i would like, i'd like, i would like to, i'd like to, i want, i want to, i need, i need to, "
        "let me see, let me think, let me check, hold on, one moment, one second, i was wondering, "
        "do you know, can you tell me, could you tell me, i mean, you know, that is, for example, "
        "kind of, sort of, i think, i guess, wait"
    ),
    short=_phrases(
        "yes, no, yeah, yep, nope, sure, ok, okay, right, correct, exactly, hello, hi, hey, thanks, "
        "thank you, goodbye, bye, stop, sorry, pardon, what, why, when, where, who, how, yes please, "
        "no thanks, no thank you, of course, all right, alright, not really, go ahead, that's it, "
        "that's all, that is all, never mind, yes i do, yes i am, yes it is, yes we are, no it isn't, i do, "
        "i am, i can, i will, i'm not, i think so, i hope so, i don't think so, i guess so, i'd like that"
    ),
    assents=_words("yes yeah yep ok okay right sure exactly really wow good great fine alright i see got it"),
    murmurs=_words("mm mmm mhm mmhmm hmm hm uh-huh uhhuh uh huh mm-hmm mm-hm aha ah oh"),
    digits=_words("zero oh one two three four five six seven eight nine double triple hundred ten"),
    phone=_phrases(
        "number is, phone number, telephone number, mobile number, cell number, account number, "
        "order number, card number, reach you at, reach me at, call me at, call me on, zip code, "
        "postal code, reference number, policy number, confirmation code"
    ),
    email=_phrases("email, e-mail, mail address"),
    address=_phrases("my address, your address, home address, street address, i live at, i live on"),
    spelling=_phrases("spell, spelled, spelt, letter by letter"),
    phone_digits=10,
    wishes=_phrases("i need, i want, i'd like, i would like, we need, we'd like, we would like"),
    settles=_words(
        "please for on at in with from by about because when know ask talk speak hear see help cancel change "
        "today tomorrow tonight now soon monday tuesday wednesday thursday friday saturday sunday morning "
        "afternoon evening week weekend month"
    ),
)

_TURKISH = TurnWords(
    wants_more=_words(
        "ve veya ya da ama fakat ancak cunku eger ki ile icin gibi kadar gore sonra once hem ne bir bu su "
        "o benim senin onun bizim sizin onlarin her bazi cok daha en sadece belki yani sey nokta tire "
        "alt cizgi diye uzere hakkinda"
    ),
    fillers=_words("sey ee eee iii hmm yani iste hani ah"),
    starts=_phrases(
        "benim adim, adim, ismim, numaram, telefon numaram, telefonum, adresim, e-postam, e-posta adresim, "
        "mailim, mail adresim, dogum tarihim, kimlik numaram, bir dakika, bir saniye, bir bakayim, "
        "dur bakayim, sunu soracaktim, sey diyecektim, ben"
    ),
    short=_phrases(
        "evet, hayir, tamam, olur, olmaz, peki, tabii, tabi, merhaba, selam, alo, tesekkurler, "
        "tesekkur ederim, sag ol, sagolun, gorusuruz, hosca kal, hoscakalin, dur, efendim, ne, neden, "
        "nerede, ne zaman, kim, nasil, dogru, aynen, bilmiyorum, yok, var, evet lutfen, bu kadar"
    ),
    assents=_words("evet tamam peki tabii tabi olur aynen dogru anladim guzel harika"),
    murmurs=_words("hi-hi hihi hi hmm hm mm mmm hi aha ha hee himm"),
    digits=_words(
        "sifir bir iki uc dort bes alti yedi sekiz dokuz on yirmi otuz kirk elli altmis yetmis seksen "
        "doksan yuz"
    ),
    phone=_phrases("numaram, numaraniz, telefon numarasi, telefonum, kimlik numaram, siparis numaram"),
    email=_phrases("e-posta, eposta, mail, mailim"),
    address=_phrases("adresim, adresiniz, adresinizi, adres"),
    spelling=_phrases("harf harf, kodluyorum, heceleyin, kodlar misiniz"),
    phone_digits=10,
    finishes=(
        *(
            "yorum",
            "yoruz",
            "yor",
            "yorsun",
            "yorsunuz",
            "yorlar",
            "iyim",
            "siniz",
            "sunuz",
            "misin",
            "musun",
        ),
        *("dim", "tim", "dum", "tum", "dik", "tik", "duk", "tuk", "di", "ti", "du", "tu", "diniz", "tiniz"),
        *("acagim", "ecegim", "acagiz", "ecegiz", "acak", "ecek", "irim", "arim", "erim", "urum", "iriz"),
        *(
            "ariz",
            "eriz",
            "mi",
            "mu",
            "var",
            "yok",
            "lutfen",
            "lazim",
            "gerek",
            "gerekiyor",
            "degil",
            "alayim",
        ),
        *("edeyim", "olsun", "tir", "dir", "tur", "dur", "misiniz", "musunuz", "miyim", "muyum", "miyiz"),
    ),
)

_SPANISH = TurnWords(
    wants_more=_words(
        "y e o u pero porque pues si cuando mientras aunque que como el la los las un una unos unas mi mis "
        "tu tus su sus nuestro nuestra este esta estos estas ese esa a ante con contra de del desde en "
        "entre hacia hasta para por segun sin sobre tras al yo me te se nos es son era estoy esta estaba "
        "quiero quisiera necesito puedo puede tengo tiene hay muy mas tambien solo quiza punto guion "
        "arroba no"
    ),
    fillers=_words("eh em este pues mmm hmm bueno o-sea ah"),
    starts=_phrases(
        "mi nombre es, me llamo, mi numero es, mi telefono es, mi numero de telefono es, mi correo es, "
        "mi email es, mi direccion es, vivo en, mi fecha de nacimiento es, me gustaria, quisiera, quiero, "
        "necesito, a ver, un momento, un segundo, dejeme ver, es que, o sea, por ejemplo, queria saber"
    ),
    short=_phrases(
        "si, no, vale, claro, bueno, de acuerdo, hola, gracias, muchas gracias, adios, hasta luego, "
        "correcto, exacto, perdon, que, por que, cuando, donde, quien, como, si por favor, no gracias, "
        "por supuesto, eso es, eso es todo, nada mas, no se, espere, pare, basta"
    ),
    assents=_words("si vale claro bueno ya exacto entiendo bien perfecto"),
    murmurs=_words("aja mm mmm mhm hmm hm ah oh"),
    digits=_words("cero uno dos tres cuatro cinco seis siete ocho nueve diez doble"),
    phone=_phrases(
        "numero es, numero de telefono, mi telefono, su telefono, numero de cuenta, codigo postal"
    ),
    email=_phrases("correo, email, e-mail"),
    address=_phrases("mi direccion, su direccion, vivo en"),
    spelling=_phrases("deletreo, deletrear, se escribe, letra por letra"),
    phone_digits=9,
    wishes=_phrases("necesito, quiero, quisiera, me gustaria, necesitamos, queremos"),
    settles=_words(
        "favor para por con en el a las porque cuando saber preguntar hablar ayuda cancelar cambiar hoy "
        "manana ahora pronto lunes martes miercoles jueves viernes sabado domingo tarde noche semana mes"
    ),
)

_GERMAN = TurnWords(
    wants_more=_words(
        "und oder aber denn weil da wenn als ob dass damit bevor nachdem obwohl sondern der die das den dem "
        "des ein eine einen einem einer eines mein meine meinen meinem meiner dein ihr ihre ihren unser "
        "dieser diese dieses diesen zu zum zur von vom fur mit bei beim nach aus in im ins auf an am ans "
        "uber unter vor hinter zwischen durch gegen ohne um bis ich wir sie er es ist sind war waren bin "
        "habe haben hat hatte hatten kann konnte konnen will wollte mochte wurde muss soll sehr auch nur "
        "vielleicht nicht punkt minus unterstrich"
    ),
    fillers=_words("ah ahm ahem hm hmm eh tja also naja aeh aehm"),
    starts=_phrases(
        "mein name ist, ich heisse, meine nummer ist, meine telefonnummer ist, meine handynummer ist, "
        "meine e-mail ist, meine email ist, meine adresse ist, ich wohne in, mein geburtsdatum ist, "
        "ich mochte, ich wurde gern, ich wurde gerne, ich hatte gern, ich hatte gerne, ich brauche, "
        "ich wollte, moment, einen moment, warten sie, mal sehen, ich glaube, das heisst, zum beispiel, "
        "konnen sie mir sagen, wissen sie"
    ),
    short=_phrases(
        "ja, nein, doch, gut, okay, ok, klar, genau, richtig, stimmt, hallo, guten tag, danke, vielen dank, "
        "tschuss, auf wiederhoren, auf wiedersehen, bitte, wie bitte, was, wann, wo, wer, warum, wie, "
        "ja bitte, nein danke, naturlich, das ist alles, das war alles, stopp, halt, entschuldigung, "
        "weiss ich nicht"
    ),
    assents=_words("ja genau okay ok gut klar richtig stimmt verstehe aha prima schon"),
    murmurs=_words("mhm hm hmm mm mmm aha ah oh ach"),
    digits=_words("null eins zwei zwo drei vier funf sechs sieben acht neun zehn doppel"),
    phone=_phrases(
        "nummer ist, telefonnummer, handynummer, kontonummer, kundennummer, postleitzahl, "
        "erreichen sie mich unter"
    ),
    email=_phrases("e-mail, email, mailadresse"),
    address=_phrases("meine adresse, ihre adresse, anschrift, ich wohne"),
    spelling=_phrases("buchstabiere, buchstabieren, geschrieben"),
    phone_digits=10,
    # What "ich möchte" begins, a verb ends.
    wishes=_phrases("ich brauche, ich hatte gern, ich hatte gerne, wir brauchen, wir hatten gern"),
    settles=_words(
        "bitte fur am um im in mit bei von ab zum zur wegen weil wenn hilfe heute morgen ubermorgen jetzt "
        "bald montag dienstag mittwoch donnerstag freitag samstag sonntag vormittag nachmittag abend woche "
        "monat"
    ),
)

_FRENCH = TurnWords(
    wants_more=_words(
        "et ou mais donc or ni car parce que qu quand lorsque si comme puisque le la les l un une des du de "
        "d au aux mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs ce cet cette ces a en "
        "dans par pour sur sous sans avec chez entre vers contre depuis pendant je j tu il elle on nous "
        "vous ils elles est sont suis ai as avez avons ont etait peux peut pouvez voudrais veux dois tres "
        "aussi plus peut-etre pas point tiret arobase"
    ),
    fillers=_words("euh heu hum hmm ben bah bon alors ah"),
    starts=_phrases(
        "je m'appelle, mon nom est, mon numero est, mon numero c'est, mon telephone est, "
        "mon numero de telephone est, mon adresse est, mon adresse c'est, mon e-mail est, mon email est, "
        "mon mail est, j'habite, ma date de naissance est, je voudrais, j'aimerais, je veux, "
        "j'ai besoin, j'ai besoin de, attendez, un instant, une seconde, voyons, c'est, c'est-a-dire, "
        "par exemple, je pense, est-ce que, pouvez-vous me dire"
    ),
    short=_phrases(
        "oui, non, si, d'accord, ok, okay, bien sur, exactement, bonjour, allo, salut, merci, "
        "merci beaucoup, au revoir, pardon, quoi, quand, ou, qui, pourquoi, comment, oui s'il vous plait, "
        "non merci, c'est tout, c'est bon, c'est ca, je ne sais pas, arretez, stop, parfait, tres bien"
    ),
    assents=_words("oui ouais d'accord ok okay bien exactement voila compris parfait"),
    murmurs=_words("mm mmm mhm hmm hm ah oh hein"),
    digits=_words(
        "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
        "vingt trente quarante cinquante soixante cent"
    ),
    phone=_phrases(
        "numero est, numero c'est, numero de telephone, mon telephone, numero de compte, code postal"
    ),
    email=_phrases("e-mail, email, mail, courriel"),
    address=_phrases("mon adresse, votre adresse, j'habite"),
    spelling=_phrases("epelle, epeler, s'ecrit, lettre par lettre"),
    phone_digits=10,
    wishes=_phrases("je voudrais, j'aimerais, je veux, j'ai besoin, il me faut, nous voudrions"),
    settles=_words(
        "plait pour a avec dans en au le parce quand savoir demander parler aide annuler changer aujourd'hui "
        "demain maintenant bientot lundi mardi mercredi jeudi vendredi samedi dimanche matin soir "
        "semaine mois"
    ),
)

TURN_WORDS: dict[str, TurnWords] = {
    "de": _GERMAN,
    "en": _ENGLISH,
    "es": _SPANISH,
    "fr": _FRENCH,
    "tr": _TURKISH,
}
"""By two-letter code."""
