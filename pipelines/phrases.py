"""What an agent says by itself, without asking an engine: short sentences in each language we know.

Words in the wrong language still tell more than silence does: an unknown language gets English.
"""

from collections.abc import Sequence
from typing import Literal

GOODBYE_ASKED = "Say goodbye to the person now, in one short sentence"
"""What every engine is told that is to part; the scripted one, which follows no orders, knows this one."""

OFFER_CALLBACK = (
    "Say so in one sentence, ask for a number and a good time to be called back, and call request_callback."
)
"""What an engine is told after why nobody could be reached; the scripted one says why, and no more."""

Phrase = Literal[
    "apology",
    "moment",
    "still_there",
    "ending",
    "goodbye",
    "cut_off",
    "go_on",
    "back",
    "caller_waits",
    "said_last",
    "take_it",
    "introduce",
    "not_reached",
    "test_call",
    "queue_place",
    "queue_next",
    "queue_callback",
    "queue_noted",
    "queue_over",
]

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
        "caller_waits": ["Hallo, hier wartet jemand am Telefon auf Sie."],
        "said_last": ["Zuletzt hieß es: {words}"],
        "take_it": ["Nehmen Sie an? Sagen Sie Ja oder drücken Sie die Eins; sonst Nein oder die Zwei."],
        "introduce": ["Ich verbinde Sie jetzt miteinander und verabschiede mich."],
        "not_reached": ["Leider war dort gerade niemand zu erreichen. Wie kann ich Ihnen helfen?"],
        "test_call": ["Dies ist ein Testanruf. Wenn Sie mich hören, drücken Sie bitte eine Taste."],
        "queue_place": [
            "Sie sind Nummer {place} in der Warteschlange. Sobald jemand frei ist, geht es weiter."
        ],
        "queue_next": ["Sie sind als Nächstes an der Reihe. Bitte bleiben Sie am Apparat."],
        "queue_callback": ["Wenn wir Sie lieber zurückrufen sollen, drücken Sie die Eins."],
        "queue_noted": ["Vielen Dank. Wir rufen Sie zurück."],
        "queue_over": ["Leider ist gerade niemand frei. Bitte rufen Sie später noch einmal an."],
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
        "caller_waits": ["Hello, somebody on the phone is waiting to talk to you."],
        "said_last": ["They last said: {words}"],
        "take_it": ["Do you take the call? Say yes or press one; to decline, say no or press two."],
        "introduce": ["I am putting you through to each other now, and leave you to it."],
        "not_reached": ["I'm sorry, nobody could take your call there just now. How can I help you?"],
        "test_call": ["This is a test call. If you can hear me, please press any key."],
        "queue_place": ["You are number {place} in line. You will be answered as soon as somebody is free."],
        "queue_next": ["You are next in line. Please hold on."],
        "queue_callback": ["To be called back instead, press one."],
        "queue_noted": ["Thank you. We will call you back."],
        "queue_over": ["I'm sorry, nobody is free at the moment. Please call again later."],
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
        "caller_waits": ["Hola, alguien está esperando al teléfono para hablar con usted."],
        "said_last": ["Lo último que dijo fue: {words}"],
        "take_it": ["¿Acepta la llamada? Diga sí o pulse uno; para rechazarla, diga no o pulse dos."],
        "introduce": ["Les pongo en contacto ahora y me despido."],
        "not_reached": ["Lo siento, ahora mismo nadie puede atenderle allí. ¿En qué puedo ayudarle?"],
        "test_call": ["Esta es una llamada de prueba. Si me oye, pulse cualquier tecla."],
        "queue_place": [
            "Es usted el número {place} de la cola. Le atenderemos en cuanto alguien esté libre."
        ],
        "queue_next": ["Es usted el siguiente. No cuelgue, por favor."],
        "queue_callback": ["Si prefiere que le llamemos, pulse uno."],
        "queue_noted": ["Gracias. Le llamaremos."],
        "queue_over": ["Lo siento, ahora mismo no hay nadie libre. Llame más tarde, por favor."],
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
        "caller_waits": ["Bonjour, quelqu'un attend au téléphone pour vous parler."],
        "said_last": ["Voici ses derniers mots : {words}"],
        "take_it": ["Prenez-vous l'appel ? Dites oui ou tapez un ; pour refuser, dites non ou tapez deux."],
        "introduce": ["Je vous mets maintenant en relation et je vous laisse."],
        "not_reached": ["Je suis désolé, personne n'a pu prendre votre appel. Comment puis-je vous aider ?"],
        "test_call": ["Ceci est un appel d'essai. Si vous m'entendez, appuyez sur une touche."],
        "queue_place": [
            "Vous êtes numéro {place} dans la file d'attente. On vous répondra dès que quelqu'un sera libre."
        ],
        "queue_next": ["Vous êtes le prochain. Restez en ligne, s'il vous plaît."],
        "queue_callback": ["Pour être rappelé, tapez un."],
        "queue_noted": ["Merci. Nous vous rappellerons."],
        "queue_over": ["Je suis désolé, personne n'est libre en ce moment. Veuillez rappeler plus tard."],
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
        "caller_waits": ["Salve, qualcuno al telefono aspetta di parlare con Lei."],
        "said_last": ["Da ultimo ha detto: {words}"],
        "take_it": ["Accetta la chiamata? Dica sì o prema uno; per rifiutare dica no o prema due."],
        "introduce": ["Vi metto ora in contatto e vi lascio."],
        "not_reached": ["Mi dispiace, in questo momento nessuno può rispondere lì. Come posso aiutarla?"],
        "test_call": ["Questa è una chiamata di prova. Se mi sente, prema un tasto."],
        "queue_place": ["Lei è il numero {place} in attesa. Le risponderemo appena qualcuno sarà libero."],
        "queue_next": ["Lei è il prossimo. Resti in linea, per favore."],
        "queue_callback": ["Per essere richiamato, prema uno."],
        "queue_noted": ["Grazie. La richiameremo."],
        "queue_over": ["Mi dispiace, al momento nessuno è libero. Richiami più tardi, per favore."],
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
        "caller_waits": ["Hallo, er wacht iemand aan de telefoon op u."],
        "said_last": ["Het laatste wat werd gezegd: {words}"],
        "take_it": [
            "Neemt u het gesprek aan? Zeg ja of druk op één; zeg nee of druk op twee om te weigeren."
        ],
        "introduce": ["Ik verbind u nu met elkaar door en neem afscheid."],
        "not_reached": ["Sorry, er was daar nu niemand bereikbaar. Waarmee kan ik u helpen?"],
        "test_call": ["Dit is een testoproep. Als u mij hoort, druk dan op een toets."],
        "queue_place": ["U bent nummer {place} in de wachtrij. U wordt geholpen zodra er iemand vrij is."],
        "queue_next": ["U bent als volgende aan de beurt. Blijft u aan de lijn."],
        "queue_callback": ["Wilt u liever teruggebeld worden, druk dan op één."],
        "queue_noted": ["Dank u wel. Wij bellen u terug."],
        "queue_over": ["Sorry, er is nu niemand vrij. Belt u later nog eens."],
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
        "caller_waits": ["Olá, está alguém ao telefone à espera de falar consigo."],
        "said_last": ["As últimas palavras foram: {words}"],
        "take_it": ["Aceita a chamada? Diga sim ou prima um; para recusar, diga não ou prima dois."],
        "introduce": ["Vou agora pô-los em contacto e despeço-me."],
        "not_reached": ["Lamento, ninguém pôde atender neste momento. Em que posso ajudar?"],
        "test_call": ["Esta é uma chamada de teste. Se me ouve, prima qualquer tecla."],
        "queue_place": ["É o número {place} da fila. Será atendido assim que alguém estiver livre."],
        "queue_next": ["É o próximo a ser atendido. Aguarde, por favor."],
        "queue_callback": ["Se prefere que lhe liguemos, prima um."],
        "queue_noted": ["Obrigado. Ligamos-lhe de volta."],
        "queue_over": ["Lamento, neste momento não há ninguém livre. Ligue mais tarde, por favor."],
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
        "caller_waits": ["Merhaba, telefonda sizinle görüşmek için bekleyen biri var."],
        "said_last": ["Son söylediği şuydu: {words}"],
        "take_it": [
            "Görüşmeyi kabul ediyor musunuz? Evet deyin veya bire basın; yoksa hayır deyin veya ikiye basın."
        ],
        "introduce": ["Şimdi sizi birbirinize bağlıyorum ve görüşmeden ayrılıyorum."],
        "not_reached": ["Üzgünüm, şu anda orada kimseye ulaşılamadı. Size nasıl yardımcı olabilirim?"],
        "test_call": ["Bu bir deneme aramasıdır. Beni duyuyorsanız lütfen bir tuşa basın."],
        "queue_place": ["Sırada {place} numaradasınız. Birisi müsait olur olmaz size yanıt verilecek."],
        "queue_next": ["Sıradaki sizsiniz. Lütfen hatta kalın."],
        "queue_callback": ["Sizi geri aramamızı isterseniz bire basın."],
        "queue_noted": ["Teşekkür ederiz. Sizi geri arayacağız."],
        "queue_over": ["Üzgünüm, şu anda müsait kimse yok. Lütfen daha sonra tekrar arayın."],
    },
}


def phrase(name: Phrase, language: str, turn: int = 0) -> str:
    """The sentence in a language (BCP-47 tag); the `turn`th time another one, where there are several."""
    code = language.replace("_", "-").split("-", 1)[0].lower()
    choices = _PHRASES.get(code, _PHRASES["en"])[name]
    return choices[turn % len(choices)]
