"""What is asked of whoever makes an agent, and what a prompt says of each answer, without any model."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """One question, and the section that its answer becomes."""

    name: str
    question: dict[str, str]
    title: str
    template: str
    """With `{answer}`."""

    def asked(self, language: str) -> str:
        """The question in a language, else in English."""
        return self.question.get(language.partition("-")[0].lower(), self.question["en"])


CREATE: tuple[Topic, ...] = (
    Topic(
        "business",
        {
            "en": "What is the business called, and what does it do?",
            "tr": "İşletmenin adı nedir ve ne yapar?",
            "de": "Wie heißt das Unternehmen, und was macht es?",
            "es": "¿Cómo se llama la empresa y a qué se dedica?",
            "fr": "Comment s'appelle l'entreprise, et que fait-elle ?",
        },
        "Role",
        "You speak with people by voice for this business: {answer}",
    ),
    Topic(
        "tasks",
        {
            "en": "What shall the agent do for people who call?",
            "tr": "Temsilci arayanlar için ne yapmalı?",
            "de": "Was soll der Agent für Anrufer tun?",
            "es": "¿Qué debe hacer el agente por quienes llaman?",
            "fr": "Que doit faire l'agent pour ceux qui appellent ?",
        },
        "Tasks",
        "{answer}\nAsk for one thing at a time, and read back what matters before you act on it.",
    ),
    Topic(
        "facts",
        {
            "en": "What must it know: hours, prices, addresses, names?",
            "tr": "Neleri bilmeli: saatler, fiyatlar, adresler, isimler?",
            "de": "Was muss er wissen: Zeiten, Preise, Adressen, Namen?",
            "es": "¿Qué debe saber: horarios, precios, direcciones, nombres?",
            "fr": "Que doit-il savoir : horaires, prix, adresses, noms ?",
        },
        "Facts",
        "{answer}\nSay only what stands here or in the knowledge base. When you do not know, say so.",
    ),
    Topic(
        "style",
        {
            "en": "How shall it speak: formal or friendly, short or at length?",
            "tr": "Nasıl konuşmalı: resmi mi samimi mi, kısa mı uzun mu?",
            "de": "Wie soll er sprechen: förmlich oder herzlich, kurz oder ausführlich?",
            "es": "¿Cómo debe hablar: formal o cercano, breve o con detalle?",
            "fr": "Comment doit-il parler : formel ou chaleureux, bref ou détaillé ?",
        },
        "Style",
        "{answer}\nAnswer in one or two short sentences, as one speaks. No lists, no symbols.",
    ),
    Topic(
        "limits",
        {
            "en": "What must it never do, and when does a person take over?",
            "tr": "Asla ne yapmamalı ve ne zaman bir insan devralmalı?",
            "de": "Was darf er nie, und wann übernimmt ein Mensch?",
            "es": "¿Qué no debe hacer nunca y cuándo pasa a una persona?",
            "fr": "Que ne doit-il jamais faire, et quand une personne prend-elle le relais ?",
        },
        "Limits",
        "{answer}",
    ),
)

EDIT: tuple[Topic, ...] = (
    Topic(
        "changes",
        {
            "en": "What shall be different from now on?",
            "tr": "Bundan sonra ne farklı olmalı?",
            "de": "Was soll von nun an anders sein?",
            "es": "¿Qué debe ser distinto a partir de ahora?",
            "fr": "Qu'est-ce qui doit changer désormais ?",
        },
        "Changes",
        "From now on, and before anything else that is said here:\n{answer}",
    ),
)

READY: dict[str, str] = {
    "en": "Thank you, that is all I need. The prompt can be written now.",
    "tr": "Teşekkürler, gereken her şey tamam. İstem artık yazılabilir.",
    "de": "Danke, mehr brauche ich nicht. Der Prompt kann jetzt geschrieben werden.",
    "es": "Gracias, no necesito más. Ya se puede escribir el prompt.",
    "fr": "Merci, c'est tout ce qu'il me faut. Le prompt peut être écrit.",
}


def topics_of(mode: str) -> tuple[Topic, ...]:
    """What a talk of this mode is about, in its order."""
    return CREATE if mode == "create" else EDIT


def ready(language: str) -> str:
    """What is said when everything was asked."""
    return READY.get(language.partition("-")[0].lower(), READY["en"])
