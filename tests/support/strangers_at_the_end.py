"""A law office, a campground and a music school, unknown when the scripted engine learned to weigh facts."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def request_consultation(topic: str, preferred_day: str, client_name: str, phone: str) -> str:
    """Request a first consultation with a lawyer.

    Args:
        topic: What it is about: divorce, tenancy, employment or inheritance.
        preferred_day: The day that suits best (YYYY-MM-DD).
        client_name: The client's full name.
        phone: Phone number to call back.
    """
    return f"{client_name} asked for {topic} on {preferred_day}."


@function_tool
async def reserve_pitch(pitch: str, arrival: str, nights: int, name: str) -> str:
    """Reserve a pitch on the campground.

    Args:
        pitch: Kind of pitch: tent, caravan or camper van.
        arrival: Day of arrival, YYYY-MM-DD.
        nights: Number of nights.
        name: Name for the reservation.
    """
    return f"A {pitch} pitch is reserved for {name} from {arrival}."


@function_tool
async def find_teacher(instrument: str) -> str:
    """Find out who teaches an instrument.

    Args:
        instrument: The instrument.
    """
    return f"{instrument} is taught by Ms. Okafor."


LAW_OFFICE = Stranger(
    name="law office",
    instructions="""\
You are the virtual receptionist of Harlan & Moss, attorneys at law, third floor, 210 Court Square.
Be discreet and polite. Never give legal advice and never say whether a case can be won.
The office is staffed Monday to Thursday from 8:30 to 5 and on Fridays until 1. Clients are seen by
appointment only. If somebody has been arrested, tell them that the emergency line is 555 018 7700, day
and night. Ask for the topic, a day, the name and a phone number if someone wants a consultation.""",
    knowledge=(
        (
            "Fees",
            """\
The first consultation costs 90 dollars and takes 45 minutes. After that we bill 240 dollars an hour.
An uncontested divorce is a flat 1,500 dollars. A simple will is 350 dollars. We ask for a retainer of
1,000 dollars before we open a file. Invoices are due within 14 days and can be paid in three
installments.""",
        ),
        (
            "The practice",
            """\
Rebecca Harlan handles divorce and custody. Daniel Moss handles employment and tenancy. We don't do
criminal defense beyond the first night, and no immigration matters. Please bring a photo ID and every
letter you have received. Everything you tell us is confidential, even if you don't hire us. Documents
can be sent to mail@harlanmoss.example. Ms. Ortega interprets for Spanish speakers on Wednesdays.
If you can't make it, let us know a day ahead, otherwise we charge half the fee. The elevator is at
the back entrance.""",
        ),
    ),
    tool=request_consultation,
    judged=(
        ("hello, um, how much would it be just to sit down and talk to a lawyer", ("90 dollars",)),
        ("who would I talk to about my landlord, it's a tenancy thing", ("Daniel Moss",)),
        ("What do I need to bring with me to the first meeting?", ("photo ID",)),
        ("can I pay you guys in installments", ("three installments|installments",)),
        ("do you speak Spanish by any chance", ("Spanish speakers",)),
        ("my brother just got arrested who do we call", ("555 018 7700",)),
        (
            "what time do you close on Fridays and where are you",
            ("Fridays until 1", "210 Court Square|third floor"),
        ),
        ("how much do you charge for a simple wheel", ("350 dollars",)),  # misheard: will
        ("can you help with a green card application", ("no immigration|I don't have",)),
        ("how much is a trademark registration", NOTHING),
    ),
)

CAMPGROUND = Stranger(
    name="campground",
    instructions="""\
You're Sunny, you answer calls for Pine Lake Campground. Happy and helpful, but never chatty.
The season goes from April 15 to October 20. The front desk is open from 8 to noon and from 3 to 8 in
the evening. Quiet time is from 10 PM to 7 AM, cars must not be driven then. Whoever arrives late
can take any pitch marked with a green ribbon and check in the next morning.
Never hand out the gate code on the phone.""",
    knowledge=(
        (
            "What it costs",
            """\
- Tent pitch: 18 euros a night
- Caravan or camper van: 27 euros a night, electricity included
- Every person from age 14: 7 euros a night, younger ones 4 euros
- Dog: 3 euros a night
- Wooden cabin for four: 68 euros a night, at least two nights
- Firewood: 6 euros a bundle""",
        ),
        (
            "On the grounds",
            """\
Campfires are only allowed in the fire pits by the lake. Dogs have to be on a leash and may not go to
the beach. You can rent canoes for 12 euros an hour and paddle boards for 10 euros an hour. There is a
lifeguard on duty in July and August from 10 to 6. The shop sells fresh bread from 7:30 AM. Hot showers are
free, the washing machine takes tokens for 4 euros. There is Wi-Fi around the front desk only. Drinking
water comes from the blue taps. The nearest supermarket is in Oakdale, five miles away. You can
cancel free of charge up to a week before, later we keep one night. Waste water of camper vans can be
emptied next to the exit.""",
        ),
    ),
    tool=reserve_pitch,
    judged=(
        ("hi what's the price for a tent for one night", ("18 euros",)),
        ("are we allowed to make a fire", ("fire pits",)),
        ("is there somebody watching the kids when they swim", ("lifeguard",)),
        ("what if we only get there at like eleven at night", ("green ribbon",)),
        ("Do you guys rent out kayaks or canoes, and how much are they?", ("12 euros",)),
        ("can my dog run free on the beach", ("leash",)),
        ("do you have why fight at the tents", ("Wi-Fi",)),  # misheard: wifi
        ("when do you open for the year", ("April 15",)),
        ("is there a playground", NOTHING),
        ("how much is a boat trip", NOTHING),
    ),
)

MUSIC_SCHOOL = Stranger(
    name="music school",
    instructions="""\
# About you
You look after the phone of the Allegro School of Music in Weaver Lane 17.
# Manners
Encourage people. Never compare teachers with each other.
# Worth knowing
Lessons are given Monday to Saturday between 1 PM and 8 PM. The office can be reached in person on
Tuesdays and Thursdays from 3 to 6. A trial lesson is free and lasts 20 minutes. During the school
holidays there are no lessons.""",
    knowledge=(
        (
            "Lessons and fees",
            """\
Piano, guitar, violin, cello, flute, drums and singing are taught. Thirty minutes a week cost 75 pounds
a month, forty-five minutes cost 105 pounds a month. Group lessons for beginners are 40 pounds a
month. Brothers and sisters get 20 percent off. You can quit at the end of each term with four weeks'
notice. A lesson that the teacher cancels is made up for, one that the student misses is not.""",
        ),
        (
            "Everything else",
            """\
Children can start at the age of five, there is no upper limit, our oldest student is 81. You don't need
your own piano, practice rooms can be used for free on weekday mornings. Violins and cellos are lent
out for 15 pounds a month, other instruments are not. The summer concert is on June 28 in the town
hall. The choir meets on Wednesdays at 7 PM and anyone may join. Parents may sit in on the first three
lessons. Online lessons are possible with most teachers. There's no car park, but bus 12 stops
right outside.""",
        ),
    ),
    tool=find_teacher,
    judged=(
        ("how much are guitar lessons per month, half an hour a week", ("75 pounds",)),
        ("my daughter is four is that too young", ("age of five",)),
        ("I'm almost sixty, am I too old to start", ("no upper limit",)),
        ("can we try it out first before we sign up", ("trial lesson",)),
        ("do I have to buy a violin", ("lent out|Violins",)),
        ("is there a discount if both my kids come", ("20 percent",)),
        ("what happens if she's sick and misses a lesson", ("misses is not",)),
        ("when is the summer consort and where", ("June 28",)),  # misheard: concert
        ("do you repair instruments", NOTHING),
        ("who teaches the trumpet", NOTHING),
    ),
)

AT_THE_END = (LAW_OFFICE, CAMPGROUND, MUSIC_SCHOOL)
