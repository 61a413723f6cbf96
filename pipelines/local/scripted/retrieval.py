"""What to look up in the knowledge for a caller's words."""

from pipelines.local.scripted import questions
from pipelines.local.scripted.history import Heard, History
from pipelines.local.scripted.questions import Question


def question_to_retrieve(history: History) -> str:
    """The caller's last words as a question that stands by itself."""
    topic: Question | None = None
    asked: list[Question] = []
    for event in history.events:
        if isinstance(event, Heard):
            today = event.at.date()
            asked = questions.read_all(event.text, topic, today)
            topic = next(
                (question for question in reversed(asked) if question.strong or question.kind), topic
            )
    return " ".join(question.text for question in asked)
