"""What to look up in the knowledge for a caller's words."""

from pipelines.local.scripted import questions
from pipelines.local.scripted.history import Heard, History
from pipelines.local.scripted.questions import Question


def question_to_retrieve(history: History) -> str:
    """The caller's last words as a question that stands by itself."""
    topic: Question | None = None
    asked: list[Question] = []
    around = ""
    for event in history.events:
        if isinstance(event, Heard):
            today = event.at.date()
            asked = questions.read_all(event.text, topic, today)
            whole = questions.read(event.text, today)
            # "My father uses a wheelchair. Can he get up there?": the answer may be near to the first half.
            around = whole.text if len(asked) == 1 and whole.says_more_than(asked[0]) else ""
            topic = next(
                (question for question in reversed(asked) if question.strong or question.kind), topic
            )
    return " ".join(filter(None, (around, *(each.text for each in asked if each.text not in around))))
