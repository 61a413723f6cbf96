"""Three agents that the scripted engine was not written with, and questions with what must be said.

What is `judged` the engine was held to while it was made. What is `held_out`, and all of `LATER_STRANGERS`,
was run once when the engine was done: `docs/offline.md` reports what it scored then. Both are kept as floors.
"""

from dataclasses import dataclass, field

from livekit.agents import llm
from livekit.agents.llm import function_tool

NOTHING: tuple[str, ...] = ()
"""The agent does not know: nothing but a refusal may be spoken."""


@dataclass(frozen=True)
class Stranger:
    """An agent as its owner would have written it. Each question comes with what the answer must contain.

    "one|other" is either of both.
    """

    name: str
    instructions: str
    knowledge: tuple[tuple[str, str], ...]
    tool: llm.FunctionTool | None
    judged: tuple[tuple[str, tuple[str, ...]], ...]
    held_out: tuple[tuple[str, tuple[str, ...]], ...] = field(default=())


@function_tool
async def reserve_bike(bike_type: str, date: str, days: int, customer_name: str) -> str:
    """Reserve a rental bike for a customer.

    Args:
        bike_type: Which kind of bike: city bike, mountain bike, e-bike or cargo bike.
        date: First day of the rental (YYYY-MM-DD).
        days: Number of days.
        customer_name: The customer's name.
    """
    return f"Reserved one {bike_type} for {customer_name}, {days} days from {date}."


@function_tool
async def hold_item(title: str, card_number: str) -> str:
    """Put a book on hold so that the reader can pick it up.

    Args:
        title: Title of the book.
        card_number: The reader's library card number.
    """
    return f"{title} is on hold for card {card_number}."


@function_tool
async def check_availability(arrival_date: str, nights: int, guests: int) -> str:
    """Check whether a room is free.

    Args:
        arrival_date: Day of arrival, YYYY-MM-DD.
        nights: How many nights.
        guests: How many guests.
    """
    return f"A double room is free from {arrival_date} for {nights} nights, {guests} guests."


BIKES = Stranger(
    name="bike rental",
    instructions="""\
You are Jonas and you pick up the phone at Pedal & Shore, a bike rental right by the old lighthouse.
Be relaxed and friendly, you can joke a little, but keep it short because people call from the street.
We open at 8:30 every day from April to October, last return is 7 PM. In winter we only open on
weekends, 10 to 4.
You should always ask for a name before you take a reservation. Never promise that a specific bike
is available.
Every rental includes a lock and a helmet. If people ask about kids, tell them that we have child
seats and trailers.
Don't talk about our competitors.""",
    knowledge=(
        (
            "Prices",
            """City bike: 15 euros a day. Mountain bike: 25 euros a day. E-bike: 38 euros a day.
The cargo bike is 45 euros a day and fits two small children.
From the fourth day on everything is 20 percent cheaper. A child trailer costs 8 euros per day.
If you bring the bike back late we charge 5 euros for every started hour.""",
        ),
        (
            "Good to know",
            """\
We take a deposit of 100 euros per bike, as a hold on your credit card. Cash is not accepted.
You need to show a passport or identity card. Riders of e-bikes must be at least 16 years old.
Flat tyre? Call us and we come out and fix it for free within 10 kilometres. A stolen bike has to be
reported to the police first.
Guided tours along the coast start on Saturdays at 11 and take three hours, 30 euros per person
including the bike.
You can cancel up to 6 PM on the day before at no cost. Dogs can ride along in the cargo bike.""",
        ),
    ),
    tool=reserve_bike,
    judged=(
        ("How much do you charge for a normal city bike?", ("15 euros",)),
        ("what's the electric bike per day", ("38 euros",)),
        ("When do you open?", ("8:30",)),
        ("what happens if I bring it back too late", ("5 euros",)),
        ("Do I get a helmet with it?", ("lock and a helmet",)),
        ("I got a flat tire, what now?", ("come out and fix it",)),
        ("can I pay cash", ("Cash is not accepted",)),
        ("my son is fourteen can he ride an e-bike", ("at least 16",)),
        ("How much is a tandem?", NOTHING),
        ("Do you sell bikes too?", NOTHING),
    ),
    held_out=(
        ("What does a mountain bike cost for one day?", ("25 euros",)),
        ("do I need to leave a deposit", ("100 euros",)),
        ("are you open in the winter", ("weekends, 10 to 4",)),
        ("is it cheaper if I take it for a week", ("20 percent",)),
        ("What document do I have to show you?", ("passport or identity card",)),
        ("tell me about the guided tour", ("Saturdays at 11",)),
        ("until when can I cancel for free", ("6 PM",)),
        ("how much is a scooter", NOTHING),
        ("do you deliver the bikes to my hotel", NOTHING),
        ("can my dog come along", ("cargo bike",)),
    ),
)

LIBRARY = Stranger(
    name="municipal library",
    instructions="""You are the telephone assistant of the Millbrook Public Library.
Answer questions of visitors politely and in one or two sentences. Speak slowly.

Opening hours:
Monday, Tuesday and Thursday: 10:00 to 18:00
Wednesday: 12:00 to 20:00
Friday: 10:00 to 16:00
Saturday: 10:00 to 13:00

The library is closed on Sundays and public holidays.

What you must not do:
- Do not give out information about other readers.
- Do not recommend political books.
If you are not sure, say so.""",
    knowledge=(
        (
            "Borrowing",
            """Q: How long can I keep a book?
A: Books can be kept for four weeks, films and games for one week.
Q: Can I renew?
A: You can renew twice, online or by phone, unless somebody is waiting for the book.
Q: What if I am late?
A: The fine is 20 cents per item and day, at most 10 euros.
Q: I lost a book
A: A lost book has to be replaced or paid for at its current price.
Q: How many items may I take?
A: Up to fifteen items at the same time.""",
        ),
        (
            "Membership and services",
            """\
A library card costs 18 euros a year for adults. It is free for everyone under 18 and for people who receive
social benefits. To get a card, bring an identity document and proof of your address.
Printing costs 10 cents per page in black and white and 50 cents in colour. There are twelve public
computers on the
second floor, one hour per day and person. Wireless internet is free, no password is needed.
Story time for children from three to six is every Wednesday at 15:30. The reading group meets on
the first Thursday of
the month. Group study rooms can be reserved for two hours. Food is not allowed, water bottles are fine.
The book drop next to the main door is open day and night.""",
        ),
    ),
    tool=hold_item,
    judged=(
        ("How long am I allowed to keep a book?", ("four weeks",)),
        ("what do I pay when I'm overdue", ("20 cents",)),
        ("are you open on wednesday evening", ("12:00 to 20:00",)),
        ("How much is a library card?", ("18 euros",)),
        ("what do I need to bring to sign up", ("identity document",)),
        ("how much is a colour print", ("50 cents",)),
        ("is there wife I", ("Wireless internet is free",)),
        ("where can I return books at night", ("book drop",)),
        ("Do you have a cafe?", NOTHING),
        ("How much is it to rent a projector?", NOTHING),
    ),
    held_out=(
        ("How many books can I take home at once?", ("fifteen items",)),
        ("can I extend my loan", ("renew twice",)),
        ("when is the story time for the little ones", ("Wednesday at 15:30",)),
        ("what happens if I lose a book", ("replaced or paid for",)),
        ("Are you open on Sundays?", ("closed on Sundays",)),
        ("can I use a computer there", ("public computers",)),
        ("may I eat my sandwich inside", ("Food is not allowed",)),
        ("do you have parking spaces", NOTHING),
        ("what is the name of the director", NOTHING),
        ("do you have rooms for study groups", ("study rooms",)),
    ),
)

HOTEL = Stranger(
    name="small hotel",
    instructions="""# Who you are
You're Elena, night and day voice of Hotel Bellavista, 14 rooms, family owned.

# How you talk
Warm, unhurried. Never more than two sentences. Always offer to check availability when someone
wants a room.

# What everyone asks
Check-in is from 3 PM, check-out until 11 AM. If guests arrive after 10 PM they must call ahead.
A single room is 70 euros, a double room is 95 euros and the suite is 160 euros per night. Breakfast
is included.
The hotel is at 5 Garden Lane, ten minutes on foot from the train station.""",
    knowledge=(
        (
            "House",
            """\
Breakfast is served from 7 to 10, on weekends until 11. We have a small sauna that is open from 5 PM to 9 PM
and free for guests. Pets are welcome for 12 euros per night. Smoking is not allowed in the rooms, only
on the balcony.
There is a lift to all floors and one room is fitted for wheelchair users. Each room has a kettle, a
hair dryer and a safe.
The reception is staffed around the clock. Luggage can be stored on the day of departure.""",
        ),
        (
            "Booking and payment",
            """\
Reservations can be cancelled free of charge until two days before arrival; after that one night is charged.
We accept Visa, Mastercard and cash, but no American Express. City tax is 2 euros per person and night.
Children under six stay free in their parents' bed. A cot costs 10 euros per stay. An extra bed is
25 euros per night.
Parking in our yard costs 9 euros per day and has to be reserved. An airport shuttle is available
for 35 euros per trip.
Late check-out until 2 PM is 20 euros.""",
        ),
    ),
    tool=check_availability,
    judged=(
        ("What time can we check in?", ("3 PM",)),
        ("how much is a double", ("95 euros",)),
        ("is breakfast extra", ("Breakfast is included",)),
        ("can I bring my dog", ("12 euros",)),
        ("we come by car, where can we park", ("9 euros per day",)),
        ("is there an elevator", ("lift to all floors",)),
        ("how do I get there from the airport", ("airport shuttle",)),
        ("can I leave my suitcase after I check out", ("Luggage can be stored",)),
        ("Do you have a swimming pool?", NOTHING),
        ("What does a massage cost?", NOTHING),
    ),
    held_out=(
        ("until what time is breakfast", ("7 to 10",)),
        ("can I pay with american express", ("no American Express",)),
        ("what is your cancellation policy", ("two days before",)),
        ("what's the price of the sweet per night", ("160 euros",)),
        ("I will arrive at midnight is that a problem", ("call ahead",)),
        ("do you have a baby bed", ("cot costs 10",)),
        ("how far is it from the station", ("ten minutes on foot",)),
        ("may I smoke in the room", ("not allowed in the rooms",)),
        ("do you have a gym", NOTHING),
        ("how much is dinner", NOTHING),
    ),
)

STRANGERS = (BIKES, LIBRARY, HOTEL)

VET = Stranger(
    name="vet",
    instructions="""\
You are the receptionist of Paws & Claws, a veterinary practice in the old mill. Stay calm, people
may be upset. We see animals by appointment only, Monday to Friday 9 to 12 and 15 to 19. On
Saturdays we only take emergencies, 10 to 12. Never diagnose over the phone. If the pet is bleeding,
tell them that they should come at once.""",
    knowledge=(
        (
            "Prices",
            """\
A general consultation is 45 euros. Vaccinating a dog costs 60 euros, a cat 50 euros. Neutering a
male cat costs 120 euros. Microchipping is 35 euros. For visits outside opening hours a surcharge of
40 euros applies.""",
        ),
        (
            "Practice",
            """\
Dr. Weiss looks after small animals, Dr. Amari after birds and reptiles. We do not treat horses or
cattle. Please bring the vaccination passport. Cats should arrive in a carrier and dogs on a leash.
Payment is due right after the treatment, by card or cash. We have our own laboratory, results are
ready the same day. You can park in the mill's courtyard.""",
        ),
    ),
    tool=None,
    judged=(),
    held_out=(
        ("what does it cost to vaccinate my dog", ("60 euros",)),
        ("Do you look at parrots?", ("birds",)),
        ("how much is a chip for my cat", ("35 euros",)),
        ("my horse is ill can you help", ("not treat horses",)),
        ("are you there on saturday morning", ("10 to 12",)),
        ("when will I get the lab results", ("same day",)),
        ("should I bring something along", ("vaccination passport",)),
        ("how much is an x-ray", NOTHING),
        ("do you sell dog food", NOTHING),
        ("can I pay later by invoice", ("Payment is due",)),
    ),
)
DRIVING_SCHOOL = Stranger(
    name="driving school",
    instructions="""\
Hello! You answer for Fahrschule Roadstar. Be motivating.
- Office hours: Monday to Thursday from 14:00 to 18:30
- Theory class: every Tuesday and Thursday at 19:00
- You can start with us at the age of sixteen and a half.
Do not give legal advice.""",
    knowledge=(
        (
            "Costs",
            """\
The registration fee is 350 euros. One driving lesson of 45 minutes costs 55 euros, a motorway
lesson 65 euros. The practical exam costs 180 euros. You can pay in instalments without interest.""",
        ),
        (
            "Learning",
            """\
Most students need between 25 and 30 lessons. Our cars are a VW Golf with manual gearbox and an
electric Mini with automatic. Before the exam you have to take a first aid course and an eye test.
Lessons that are cancelled less than 24 hours ahead are charged in full. We teach in German, English
and Turkish. You are picked up at home for your lessons.""",
        ),
    ),
    tool=None,
    judged=(),
    held_out=(
        ("what does one driving lesson cost", ("55 euros",)),
        ("how old do I have to be", ("sixteen and a half",)),
        ("when is the theory", ("19:00",)),
        ("how many lessons will I need", ("25 and 30",)),
        ("do you have automatic cars", ("automatic",)),
        ("is it possible to learn in english", ("English",)),
        ("I have to cancel tomorrow's lesson", ("24 hours",)),
        ("do you teach motorbikes", NOTHING),
        ("how much is a truck licence", NOTHING),
        ("do you pick me up from home", ("picked up",)),
    ),
)
CINEMA = Stranger(
    name="cinema",
    instructions="""\
You're the info line of the Astoria cinema. Short and cheerful answers please. The box office opens
half an hour before the first film. Tickets are 11 euros, on Tuesdays only 8 euros. Never spoil the
ending of a film.""",
    knowledge=(
        (
            "Visiting",
            """\
Children under twelve pay 7 euros. Films in 3D cost an extra 2 euros, glasses included. The main
hall has 240 seats, the studio has 60. Two wheelchair spaces are in row one of the main hall.
Popcorn and drinks are sold in the foyer, own food is not allowed. Online tickets can be exchanged
until two hours before the show. The lost property desk can be reached at 555 333 9090. The car park
under the cinema costs 3 euros for the evening.""",
        ),
        (
            "Specials",
            """\
Every first Sunday of the month there is a matinee with brunch for 22 euros. The open air season
runs from June to August in the castle garden. Gift cards are available at the box office from 10
euros.""",
        ),
    ),
    tool=None,
    judged=(),
    held_out=(
        ("how much is a ticket", ("11 euros",)),
        ("what does it cost for kids", ("7 euros",)),
        ("can I bring my own snacks", ("not allowed",)),
        ("I left my jacket in the cinema", ("555 333 9090",)),
        ("how big is the main hall", ("240 seats",)),
        ("when is the open air cinema", ("June to August",)),
        ("do you have vouchers as a present", ("Gift cards",)),
        ("what film is on tonight", NOTHING),
        ("is there a student discount", NOTHING),
        ("where can I park", ("car park",)),
    ),
)
LATER_STRANGERS = (VET, DRIVING_SCHOOL, CINEMA)
