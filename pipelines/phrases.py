"""What an agent says by itself, without asking an engine: short sentences in each language we know.

Words in the wrong language still tell more than silence does: an unknown language gets English.
"""

from collections.abc import Sequence
from typing import Literal

GOODBYE_ASKED = "Say goodbye to the person now, in one short sentence"
"""What every engine is told that is to part; the scripted one, which follows no orders, knows this one."""

Phrase = Literal["apology", "moment", "still_there", "ending", "goodbye", "cut_off", "go_on", "back"]

_PHRASES: dict[str, dict[Phrase, Sequence[str]]] = {
    "de": {
        "apology": ["Entschuldigung, da ist etwas schiefgegangen. Sagen Sie das bitte noch einmal."],
        "moment": ["Einen Moment bitte."],
        "still_there": ["Sind Sie noch da?", "Hallo? Ich höre Sie gerade nicht."],
        "ending": ["Wir haben leider nicht mehr viel Zeit."],
        "goodbye": ["Vielen Dank für Ihren Anruf. Auf Wiederhören."],
        "cut_off": ["Entschuldigung, ich war kurz weg."],
        "go_on": ["Bitte sprechen Sie weiter."],
        "back": ["Hier bin ich wieder. Wie kann ich Ihnen weiterhelfen?"],
    },
    "en": {
        "apology": ["I'm sorry, something went wrong. Please say that again."],
        "moment": ["One moment, please."],
        "still_there": ["Are you still there?", "Hello? I can't hear you at the moment."],
        "ending": ["I'm afraid we don't have much time left."],
        "goodbye": ["Thank you for your call. Goodbye."],
        "cut_off": ["Sorry, I was cut off for a moment."],
        "go_on": ["Please go on."],
        "back": ["I am back with you. How may I help you further?"],
    },
    "es": {
        "apology": ["Lo siento, algo ha fallado. Repítalo, por favor."],
        "moment": ["Un momento, por favor."],
        "still_there": ["¿Sigue ahí?", "¿Hola? Ahora mismo no le oigo."],
        "ending": ["Me temo que no nos queda mucho tiempo."],
        "goodbye": ["Gracias por su llamada. Adiós."],
        "cut_off": ["Perdone, se cortó un momento."],
        "go_on": ["Continúe, por favor."],
        "back": ["Vuelvo a estar con usted. ¿En qué más puedo ayudarle?"],
    },
    "fr": {
        "apology": ["Je suis désolé, quelque chose n'a pas fonctionné. Répétez, s'il vous plaît."],
        "moment": ["Un instant, s'il vous plaît."],
        "still_there": ["Vous êtes toujours là ?", "Allô ? Je ne vous entends pas."],
        "ending": ["Je crains qu'il ne nous reste plus beaucoup de temps."],
        "goodbye": ["Merci de votre appel. Au revoir."],
        "cut_off": ["Excusez-moi, j'ai été coupé un instant."],
        "go_on": ["Continuez, je vous prie."],
        "back": ["Me revoici. En quoi puis-je encore vous aider ?"],
    },
    "it": {
        "apology": ["Mi dispiace, qualcosa è andato storto. Lo ripeta, per favore."],
        "moment": ["Un momento, per favore."],
        "still_there": ["È ancora lì?", "Pronto? In questo momento non la sento."],
        "ending": ["Purtroppo non ci resta molto tempo."],
        "goodbye": ["Grazie per la chiamata. Arrivederci."],
        "cut_off": ["Mi scusi, la linea è caduta un attimo."],
        "go_on": ["Continui pure."],
        "back": ["Eccomi di nuovo. Come posso aiutarla ancora?"],
    },
    "nl": {
        "apology": ["Sorry, er ging iets mis. Zegt u het alstublieft nog eens."],
        "moment": ["Een ogenblik, alstublieft."],
        "still_there": ["Bent u er nog?", "Hallo? Ik hoor u op dit moment niet."],
        "ending": ["We hebben helaas niet veel tijd meer."],
        "goodbye": ["Bedankt voor uw telefoontje. Tot ziens."],
        "cut_off": ["Sorry, ik was even weg."],
        "go_on": ["Gaat u verder, alstublieft."],
        "back": ["Ik ben er weer. Waarmee kan ik u verder helpen?"],
    },
    "pt": {
        "apology": ["Desculpe, algo correu mal. Repita, por favor."],
        "moment": ["Um momento, por favor."],
        "still_there": ["Ainda está aí?", "Olá? Neste momento não consigo ouvir."],
        "ending": ["Infelizmente não temos muito mais tempo."],
        "goodbye": ["Obrigado pela sua chamada. Até logo."],
        "cut_off": ["Desculpe, a ligação falhou por um momento."],
        "go_on": ["Continue, por favor."],
        "back": ["Estou de volta. Em que mais posso ajudar?"],
    },
    "tr": {
        "apology": ["Özür dilerim, bir sorun oldu. Lütfen tekrar söyler misiniz?"],
        "moment": ["Bir dakika lütfen."],
        "still_there": ["Hâlâ orada mısınız?", "Alo? Şu anda sizi duyamıyorum."],
        "ending": ["Maalesef fazla zamanımız kalmadı."],
        "goodbye": ["Aradığınız için teşekkür ederiz. Hoşça kalın."],
        "cut_off": ["Özür dilerim, bağlantı bir an koptu."],
        "go_on": ["Lütfen devam edin."],
        "back": ["Tekrar buradayım. Başka nasıl yardımcı olabilirim?"],
    },
}


def phrase(name: Phrase, language: str, turn: int = 0) -> str:
    """The sentence in a language (BCP-47 tag); the `turn`th time another one, where there are several."""
    code = language.replace("_", "-").split("-", 1)[0].lower()
    choices = _PHRASES.get(code, _PHRASES["en"])[name]
    return choices[turn % len(choices)]
