"""All agents that the scripted engine was ever judged on, and so may learn from."""

from api.seed_data import clinic
from tests.support.clinic import ASKED, UNKNOWN
from tests.support.strangers import LATER_STRANGERS, NOTHING, STRANGERS, Stranger
from tests.support.strangers_at_last import AT_LAST
from tests.support.strangers_at_the_counter import AT_THE_COUNTER
from tests.support.strangers_at_the_end import AT_THE_END
from tests.support.strangers_by_phone import BY_PHONE
from tests.support.strangers_on_the_line import ON_THE_LINE

CLINIC = Stranger(
    name="demo clinic",
    instructions=clinic.INSTRUCTIONS,
    knowledge=tuple(clinic.KNOWLEDGE),
    tool=None,
    judged=(
        *((question, (fact,)) for question, fact in ASKED),
        *((question, NOTHING) for question in UNKNOWN),
    ),
)
EVERY_STRANGER = (
    CLINIC,
    *STRANGERS,
    *LATER_STRANGERS,
    *AT_THE_COUNTER,
    *AT_THE_END,
    *AT_LAST,
    *BY_PHONE,
    *ON_THE_LINE,
)
