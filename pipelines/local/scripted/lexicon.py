"""Which words mean the same at a counter or on the phone, and which words carry little."""

from kb.words import fold, stem, words

# Each line is one thing people ask for in many words. No line knows of any particular business.
_ENGLISH = """
cost price pricing charge fee rate fare owe expensive cheap euro dollar pound lira euros dollars
open opening close closing shut hours
child kid toddler baby infant boy girl son daughter teenager minor children youngster
dog pet puppy cat animal
car park parking vehicle garage
pay payment card cash visa mastercard contactless credit debit cheque
discount reduction reduced concession deal cheaper percent less
voucher coupon
tyre tire wheel
cancel cancellation cancelled
change reschedule move postpone rebook shift modify amend
refund reimburse moneyback refundable
late delay overdue latecomer latecomers
wifi internet wireless wi-fi online
food eat meal dining dinner lunch restaurant snack kitchen menu cafe
breakfast brunch
drink beverage bar coffee tea wine beer
address location located find street directions situated where
bus tram metro train subway underground transport station transit
phone telephone call ring number
email e-mail mail
book booking reserve reservation appointment slot schedule
wheelchair access steps step accessible disabled disability lift elevator ramp stairs mobility hoist crutches
insurance insured insurer coverage
emergency urgent pain urgently hurts toothache
doctor dentist physician practitioner
staff team employee personnel crew
deposit prepay prepayment downpayment advance upfront beforehand
repair fix broken broke mend damage puncture fault breakdown
rent rental hire lease
borrow loan lend lending
return back returning
lost lose left forgot forgotten missing stolen steal theft found
spoiled rotten mouldy moldy mould rot
damage damaged ruin ruined destroy destroyed spoil
pause freeze frozen suspend
swap exchange replace
sick ill illness unwell
photo picture photograph
invoice receipt
parent parents mother father mum mom dad guardian
sit seat seats
toilet loo wc
join member membership register registration enrol enroll signup subscribe subscription
bicycle bike cycle cycling
bike ebike
ebike ebicycle pedelec
room bedroom suite accommodation
pool swim swimming
gym fitness workout exercise training
smoke smoking cigarette vape
luggage bag baggage suitcase belongings
toilet restroom bathroom washroom
print printing printer photocopy scan copy
computer laptop
quiet silent noise silence
deliver delivery shipping ship courier
vegetarian vegan veggie plant
allergy allergic gluten intolerance
language speak spoken
age old older younger minimum aged
warranty guarantee
holiday holidays christmas easter
group groups party
identification id passport licence license identity document documents papers
beginner novice newcomer starter
teacher instructor trainer coach
teach taught
tour guide guided excursion
wash laundry clean washing
towel linen
shower showers
locker storage store stored
night overnight nighttime
leave departure depart checkout
arrive arrival checkin
extend renew renewal longer extension prolong
fine penalty fined
collect pickup
ready finish finished done
quick fast quickly soon
guest visitor guests visitors friend friends buddy mate companion
pregnant pregnancy expecting
old elderly senior pensioner retired
student pupil
sell sold sale shop
buy purchase bought
gift present
safe safety secure helmet
owner boss
work job hiring vacancy career
walkin walk-in spontaneous
treat welcome accept serve admit
found founded started established began
loaner replacement substitute courtesy
tow towing
height tall
weight heavy weigh
weekend saturday sunday
"""
_TURKISH = """
fiyat ucret kac para tutar ucretli tl lira euro masraf
acik acilis kapali kapanis saat acilir kapanir calisma
cocuk bebek cocuklar
kopek kedi hayvan evcil
araba arac otopark park
odeme kart nakit kredi odeyebilir
indirim kampanya
iptal vazgec
degistir ertele degisiklik
iade
adres konum yer nerede nerdesiniz
telefon numara ara
randevu rezervasyon ayirt
kahvalti yemek restoran
internet wifi kablosuz
sigorta sgk
acil agri
engelli asansor tekerlekli
metro otobus tramvay durak
ogrenci
"""
# What a question about the first word accepts as an answer, but not the other way round.
_KINDS_OF = {
    "food": "breakfast brunch buffet cake sandwich",
    "eat": "breakfast brunch buffet cake sandwich",
    "card": "visa mastercard contactless",
    "pet": "dog cat puppy",
    "animal": "dog cat puppy",
    # What one can buy is sold; but who buys something does not sell it.
    "buy": "sell sold sale",
    "purchase": "sell sold sale",
    "transport": "bus tram metro train",
}

_WEAK = frozenset(
    stem(word)
    for word in words(
        """
        able actually advice already always another answer anyone anything around ask
        available best bit
        call case come coming day days exactly explain far find first folks free
        friend full guy guys happen
        happens hear hello help hey hold hope idea information info instead keep kind kindly
        last later leave little
        look looking lot make many maybe mean minute moment morning name nearby need next
        nice number offer offered
        only order people per person perhaps place possible possibly probably provide put
        question quick quickly quite
        really right same say see show since someone something somewhere soon sort sound
        speak start still stuff sure
        take talk tell thing things think time today together tomorrow tonight try type
        types usually use used using
        visit wait way week welcome wonder wondering work works year yet anyway allow
        allowed accept accepted
        include included including happen long big small own new terrible bad horrible great
        fine whole please normal
        night nights hour hours month months adult each inside outside indoors outdoors home upstairs
        edecek ediyor ediyorsunuz eder etmek geciyor gecer gecerli yer almak alabilir yapmak
        yapabilir olabilir
        isterim istiyoruz vermek veriyor veriyorsunuz bulunur bulunuyor kabul mevcut
        bilgi verir misin misiniz ogrenmek istiyorum istiyordum acaba gun yarin bugun simdi
        mumkun yapiyor yapiyorsunuz
        """
    )
)
"""Words that help a little when they match and say nothing when they do not."""


def _concepts() -> dict[str, frozenset[int]]:
    meanings: dict[str, set[int]] = {}
    for number, line in enumerate((_ENGLISH + _TURKISH).strip().splitlines()):
        for word in line.split():
            meanings.setdefault(stem(fold(word)), set()).add(number)
    return {word: frozenset(numbers) for word, numbers in meanings.items()}


_CONCEPTS = _concepts()
_NARROWER = {
    stem(word): frozenset(stem(each) for each in narrower.split()) for word, narrower in _KINDS_OF.items()
}


def concepts(term: str) -> frozenset[int]:
    """The things a stem can stand for; two stems that share one mean the same."""
    return _CONCEPTS.get(term, frozenset())


def narrower(term: str) -> frozenset[str]:
    """Stems that answer a question about this stem."""
    return _NARROWER.get(term, frozenset())


def is_weak(term: str) -> bool:
    """Whether a stem may go without support in an answer."""
    return term in _WEAK


_SOUNDS = (
    ("wh", "w"), ("ph", "f"), ("ck", "k"), ("kn", "n"), ("wr", "r"), ("ght", "t"),
    ("gh", "g"), ("sch", "s"), ("sh", "s"),
    ("ch", "s"), ("th", "t"), ("ce", "se"), ("ci", "si"), ("cy", "si"), ("qu", "kw"), ("x", "ks"),
    ("dge", "j"),
)  # fmt: skip
_ALIKE = str.maketrans("czqgvbdy", "kskkfpti")


def sound(word: str) -> str:
    """A folded word as it sounds, roughly: what a recogniser confuses becomes equal."""
    for written, heard in _SOUNDS:
        word = word.replace(written, heard)
    if len(word) > 4 and word.endswith(("er", "or", "ar", "re")):
        word = f"{word[:-2]}a"  # lighter and "light a" are one to the ear
    word = word.translate(_ALIKE)
    kept = word[:1]
    for letter in word[1:]:
        if letter not in "aeiouhw" and letter != kept[-1:]:
            kept += letter
    return "a" + kept[1:] if kept[:1] in ("a", "e", "i", "o", "u") else kept
