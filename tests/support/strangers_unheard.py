"""A ferry line, a dry cleaner and a tattoo studio, whose callers hardly use a word that is written."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def reserve_crossing(day: str, departure: str, passengers: int, name: str) -> str:
    """Reserve places on the ferry.

    Args:
        day: The day, YYYY-MM-DD.
        departure: Time of departure.
        passengers: How many passengers.
        name: Name for the reservation.
    """
    return f"{passengers} places are reserved for {name} on {day} at {departure}."


@function_tool
async def order_status(ticket: str) -> str:
    """Look up whether an order is ready.

    Args:
        ticket: Number on the pink ticket.
    """
    return f"Order {ticket} is ready."


@function_tool
async def book_consultation(day: str, artist: str, name: str) -> str:
    """Book a consultation with an artist.

    Args:
        day: The day, YYYY-MM-DD.
        artist: Which artist: Ines, Rudi or Tam.
        name: Name of the customer.
    """
    return f"{name} sees {artist} on {day}."


FERRY = Stranger(
    name="ferry line",
    instructions="""\
You speak for Skerry Lines, the boat between Port Aldous and the island of Hest. Friendly, brief, seaworthy.
Boats leave Port Aldous at 7, 10, 13 and 17 o'clock and come back from Hest ninety minutes later.
From November to March there is no boat at 13 o'clock. Never say that the sea will be calm. If a sailing
is called off, tell them that tickets stay valid for a year.""",
    knowledge=(
        (
            "Fares",
            """\
Adults pay 14 euros one way and 24 euros return. Children from 4 to 14 pay half, smaller ones travel free.
A bicycle is 5 euros, a car up to five metres 42 euros with its driver. Islanders with a resident card get
thirty percent off. A day pass with unlimited trips costs 30 euros. Tickets are sold at the pier and on board,
on board only for cash.""",
        ),
        (
            "On the boat",
            """\
The crossing takes fifty minutes. Please be at the pier twenty minutes before departure with a car,
on foot ten minutes are enough. Dogs travel free but have to stay on the open deck. The saloon has
coffee, beer and sandwiches. There is one toilet below deck, down a steep ladder. Whoever gets seasick
should sit at the back, pills are at the bar. Wheelchairs get on board over the car ramp, the crew
helps. On stormy days we decide at six in the morning whether we sail, listen to the tape
on 555 700 1212. Groups from fifteen people must be announced. Found items are handed in at the harbour
office.""",
        ),
    ),
    tool=reserve_crossing,
    judged=(
        ("yeah hi what do two grown ups pay there and back", ("24 euros",)),
        ("how long are we on the water for", ("fifty minutes",)),
        ("my stomach always turns on boats, got any tips", ("sit at the",)),
        ("what if it's too windy, how will I know you're going", ("stormy days",)),
        ("I've got a wheelchair, can I get on", ("car ramp",)),
        ("when do I have to show up if I'm bringing the car", ("twenty minutes before",)),
        ("left my sunglasses on the boat on Sunday", ("harbour office",)),
        ("can I take my by cycle and what's it cost", ("5 euros",)),  # misheard: bicycle
        ("do you do whale watching", NOTHING),
        ("how much is a cabin", NOTHING),
    ),
)

CLEANER = Stranger(
    name="dry cleaner",
    instructions="""\
## You
The telephone voice of Pressing Matters, a dry cleaner's in the arcade at 61 Bell Street. Short answers.
## Facts
Open Monday to Friday 7:30 to 6:30, Saturday 9 to 2. What comes in before 10 is ready the same day after 5.
## Don'ts
Never promise that a stain will come out. Don't discuss other customers.""",
    knowledge=(
        (
            "Prices",
            """\
Shirt, washed and ironed: 3.20 pounds
Suit, two pieces: 15 pounds
Trousers: 7.50 pounds
Dress: from 12 pounds
Wedding dress: 95 pounds
Coat: 16 pounds
Duvet: 24 pounds
Five shirts or more: 2.70 pounds each""",
        ),
        (
            "Good to know",
            """\
Leather and fur are sent to a specialist and take two weeks. Curtains are taken down and hung up again
by us on request. We shorten trousers for 11 pounds and change zips for 14 pounds. Please empty all
pockets. You pay when you bring it in, cards are fine. Whoever has lost the pink ticket needs an ID to
collect. If something gets damaged we replace it at its present value. After six months we give
uncollected clothes to the shelter. Pick-up and delivery in the city is free from 30 pounds. We use no
perchloroethylene, only a solvent made from sugar cane. Hangers can be brought back, we use them
again. Express in two hours costs half as much again.""",
        ),
    ),
    tool=order_status,
    judged=(
        ("I need my suit cleaned, what's the damage", ("15 pounds",)),
        ("is it less if I bring a whole pile of shirts", ("2.70 pounds",)),
        ("if I drop it off first thing can I have it tonight", ("same day",)),
        ("I can't find the ticket any more, can I still get my jacket", ("needs an ID",)),
        ("my trousers are too long, is that something you do", ("shorten trousers",)),
        ("what happens if you ruin my dress", ("present value",)),
        ("would you come and get the stuff from my flat", ("Pick-up and delivery",)),
        ("how much for a doovay", ("24 pounds",)),  # misheard: duvet
        ("do you repair shoes", NOTHING),
        ("how much is it to clean a carpet", NOTHING),
    ),
)

TATTOO = Stranger(
    name="tattoo studio",
    instructions="""\
you're the phone at Inkwell, a tattoo studio above the record store on Canal Street. laid back, honest.
We're here Wednesday to Sunday, noon to nine. Walk-ins are taken on Sundays only. Nobody under eighteen gets
a tattoo here, not even with a parent. Never judge what people want. Ask for the day, the artist and
the name for a consultation.""",
    knowledge=(
        (
            "How it works",
            """\
The consultation is free and takes half an hour. To hold your session we take 80 euros, which is
deducted at the end. The smallest job is 90 euros, after that it is 130 euros an hour. Ines does fine
line and flowers, Rudi old school, Tam lettering and cover-ups. Touch-ups are free within three
months. Drawings are shown to you on the day, not before. You can shift your session once if you tell us
three days ahead.""",
        ),
        (
            "Before and after",
            """\
Eat well, sleep well and no alcohol the day before. We don't work on people who are pregnant or
nursing. Bring the sleeve up, so wear something loose. Numbing cream is 10 euros. Bring one friend at
most. Keep the film on for three days, no sun and no swimming for two weeks. It heals in about a month. If it
gets red and hot, see a doctor. We only use vegan inks. Needles are used once. No piercings, for that go
to Steel next door.""",
        ),
    ),
    tool=book_consultation,
    judged=(
        ("what would the littlest thing cost, like a tiny heart", ("90 euros",)),
        ("my daughter is seventeen, I'd sign for her", ("under eighteen",)),
        ("can I come in without booking anything", ("Sundays only",)),
        ("does it hurt, is there something for that", ("Numbing cream",)),
        ("how soon can I go in the pool with it", ("no swimming",)),
        ("I want an old one covered, who's good at that", ("cover-ups",)),
        ("can I bring my two mates", ("one friend",)),
        ("is the think vegan", ("vegan inks",)),  # misheard: ink
        ("do you remove tattoos with a laser", NOTHING),
        ("how much is a gift card", NOTHING),
    ),
)

UNHEARD = (FERRY, CLEANER, TATTOO)
