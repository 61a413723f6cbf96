"""What signs are called, language by language."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Words:
    """`{n}` stands for a number, `{h}` and `{m}` for hours and minutes."""

    at: str
    dot: str
    slash: str
    dash: str
    underscore: str
    plus: str
    percent: str
    """With `{n}`: some languages put the word first."""
    to: str
    """Between the ends of a range."""
    cents: str
    """What follows the whole units of an amount."""
    hour: str
    hour_minutes: str
    currencies: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What people say for one and for several of these; a currency that is missing has its full name."""


WORDS: dict[str, Words] = {
    "en": Words(
        at="at",
        dot="dot",
        slash="slash",
        dash="dash",
        underscore="underscore",
        plus="plus",
        percent="{n} percent",
        to="to",
        cents="and {n} cents",
        hour="{h}",
        hour_minutes="{h} {m}",
        currencies={
            "USD": ("dollar", "dollars"),
            "GBP": ("pound", "pounds"),
            "TRY": ("lira", "lira"),
        },
    ),
    "de": Words(
        at="ät",
        dot="Punkt",
        slash="Schrägstrich",
        dash="Strich",
        underscore="Unterstrich",
        plus="plus",
        percent="{n} Prozent",
        to="bis",
        cents="{n}",
        hour="{h} Uhr",
        hour_minutes="{h} Uhr {m}",
        currencies={"USD": ("Dollar", "Dollar"), "GBP": ("Pfund", "Pfund"), "TRY": ("Lira", "Lira")},
    ),
    "es": Words(
        at="arroba",
        dot="punto",
        slash="barra",
        dash="guion",
        underscore="guion bajo",
        plus="más",
        percent="{n} por ciento",
        to="a",
        cents="con {n}",
        hour="{h}",
        hour_minutes="{h} y {m}",
        currencies={"USD": ("dólar", "dólares"), "GBP": ("libra", "libras"), "TRY": ("lira", "liras")},
    ),
    "fr": Words(
        at="arobase",
        dot="point",
        slash="barre oblique",
        dash="tiret",
        underscore="tiret bas",
        plus="plus",
        percent="{n} pour cent",
        to="à",
        cents="{n}",
        hour="{h} heures",
        hour_minutes="{h} heures {m}",
        currencies={"USD": ("dollar", "dollars"), "GBP": ("livre", "livres"), "TRY": ("lire", "lires")},
    ),
    "it": Words(
        at="chiocciola",
        dot="punto",
        slash="barra",
        dash="trattino",
        underscore="trattino basso",
        plus="più",
        percent="{n} per cento",
        to="a",
        cents="e {n}",
        hour="{h}",
        hour_minutes="{h} e {m}",
        currencies={
            "USD": ("dollaro", "dollari"),
            "GBP": ("sterlina", "sterline"),
            "TRY": ("lira", "lire"),
        },
    ),
    "nl": Words(
        at="apenstaartje",
        dot="punt",
        slash="schuine streep",
        dash="streepje",
        underscore="laag streepje",
        plus="plus",
        percent="{n} procent",
        to="tot",
        cents="{n}",
        hour="{h} uur",
        hour_minutes="{h} uur {m}",
        currencies={"USD": ("dollar", "dollar"), "GBP": ("pond", "pond"), "TRY": ("lira", "lira")},
    ),
    "pt": Words(
        at="arroba",
        dot="ponto",
        slash="barra",
        dash="traço",
        underscore="sublinhado",
        plus="mais",
        percent="{n} por cento",
        to="a",
        cents="e {n}",
        hour="{h} horas",
        hour_minutes="{h} horas e {m}",
        currencies={
            "EUR": ("euro", "euros"),
            "USD": ("dólar", "dólares"),
            "GBP": ("libra", "libras"),
            "TRY": ("lira", "liras"),
        },
    ),
    "tr": Words(
        at="et",
        dot="nokta",
        slash="bölü",
        dash="tire",
        underscore="alt tire",
        plus="artı",
        percent="yüzde {n}",
        to="ila",
        cents="{n} kuruş",
        hour="{h}",
        hour_minutes="{h} {m}",
        currencies={
            "EUR": ("euro", "euro"),
            "USD": ("dolar", "dolar"),
            "GBP": ("sterlin", "sterlin"),
            "TRY": ("lira", "lira"),
        },
    ),
}
