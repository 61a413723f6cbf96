"""The dialog engine of an agent that has no language model: facts spoken verbatim, forms filled in.

It answers from what its owner wrote, word for word, or says that it does not have that. It stands
behind `livekit.agents.llm.LLM`, so that a key swaps it for a language model and nothing else changes:

    engine = ScriptedLLM(embedder=embedder, language="en")

What reaches it, all through `chat(chat_ctx=..., tools=...)`:

- **Instructions**: the agent's own system message. Its orders ("Be brief.", "Never ...") are never
  spoken; the facts it states ("We are open until six.") are.
- **Knowledge**: whoever calls `chat` (the agent's `llm_node`) retrieves passages and puts them, in a
  *copy* of the chat context, as one message of role `system` or `developer` whose `extra` holds

      {"call2me.passages": [{"source_id": str, "title": str, "text": str, "score": float}, ...]}

  The message's own text is not read here: it is for language models. Passages need no threshold,
  the engine has its own; eight of them are better than three, since it picks single sentences.
  `retrieval_question(chat_ctx)` says what to retrieve for: "and on Sunday?" asks nothing by itself.
- **Functions**: LiveKit function tools. A call to one is emitted as a real LiveKit tool call; the session
  runs it and asks again with the result in the context.
- **The embedder**: anything with `async embed(texts: Sequence[str]) -> ndarray`, float32 of shape
  (texts, dimensions), each row of length one. `None`: words alone decide (always so in Turkish).

The reply is a function of the chat context: asking twice for the same turn, or for two calls at once,
neither advances nor mixes up anything.
"""

PASSAGES = "call2me.passages"
"""Key in a message's `extra` under which an agent's `llm_node` hands passages to the engine."""

LANGUAGES = ("en", "tr")
"""What the engine has words for. An agent in any other language is refused, not answered in English."""
