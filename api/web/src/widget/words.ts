/** Every word that a visitor reads besides the owner's own. */

const EN = {
  open: "Open chat",
  close: "Close chat",
  send: "Send",
  message: "Message",
  conversation: "Conversation",
  you: "You",
  thinking: "Writing…",
  talk: "Talk",
  hangUp: "End",
  mute: "Mute",
  unmute: "Unmute",
  connecting: "Connecting…",
  waiting: "One moment…",
  listening: "Listening",
  speaking: "Speaking",
  reconnecting: "Reconnecting…",
  ended: "The conversation has ended.",
  playSound: "Play sound",
  again: "Try again",
  failed: "This did not work. Please try again.",
  offline: "There is no connection now.",
  busy: "Too many messages at once. Please wait a moment.",
  closedNow: "Nobody can answer now. Please try again later.",
  noMicrophone: "The microphone cannot be used. Please allow it for this page.",
  insecure: "The microphone needs a secure page (https).",
  powered: "Powered by Call2Me",
};

export type Words = typeof EN;

const TR: Words = {
  open: "Sohbeti aç",
  close: "Sohbeti kapat",
  send: "Gönder",
  message: "Mesaj",
  conversation: "Konuşma",
  you: "Siz",
  thinking: "Yazıyor…",
  talk: "Konuş",
  hangUp: "Bitir",
  mute: "Sesi kapat",
  unmute: "Sesi aç",
  connecting: "Bağlanıyor…",
  waiting: "Bir dakika…",
  listening: "Dinliyor",
  speaking: "Konuşuyor",
  reconnecting: "Yeniden bağlanıyor…",
  ended: "Görüşme sona erdi.",
  playSound: "Sesi çal",
  again: "Tekrar dene",
  failed: "Olmadı. Lütfen tekrar deneyin.",
  offline: "Şu anda bağlantı yok.",
  busy: "Çok fazla mesaj. Lütfen biraz bekleyin.",
  closedNow: "Şu anda kimse yanıt veremiyor. Lütfen daha sonra deneyin.",
  noMicrophone: "Mikrofon kullanılamıyor. Lütfen bu sayfa için izin verin.",
  insecure: "Mikrofon güvenli bir sayfa ister (https).",
  powered: "Call2Me ile çalışır",
};

const DE: Words = {
  open: "Chat öffnen",
  close: "Chat schließen",
  send: "Senden",
  message: "Nachricht",
  conversation: "Gespräch",
  you: "Sie",
  thinking: "Schreibt…",
  talk: "Sprechen",
  hangUp: "Beenden",
  mute: "Stumm",
  unmute: "Ton an",
  connecting: "Verbindet…",
  waiting: "Einen Moment…",
  listening: "Hört zu",
  speaking: "Spricht",
  reconnecting: "Verbindet neu…",
  ended: "Das Gespräch ist beendet.",
  playSound: "Ton abspielen",
  again: "Noch einmal",
  failed: "Das ging nicht. Bitte versuchen Sie es noch einmal.",
  offline: "Gerade besteht keine Verbindung.",
  busy: "Zu viele Nachrichten. Bitte warten Sie einen Moment.",
  closedNow: "Gerade kann niemand antworten. Bitte versuchen Sie es später.",
  noMicrophone: "Das Mikrofon ist nicht verfügbar. Bitte erlauben Sie es für diese Seite.",
  insecure: "Das Mikrofon braucht eine sichere Seite (https).",
  powered: "Mit Call2Me",
};

const BY_LANGUAGE: Record<string, Words> = { en: EN, tr: TR, de: DE };

/** English for every language that has no words here. */
export function wordsOf(language: string): Words {
  return BY_LANGUAGE[language.slice(0, 2).toLowerCase()] ?? EN;
}
