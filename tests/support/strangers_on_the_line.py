"""A garage, a public pool and a moving company, whose callers tell more than they ask."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def book_service(plate: str, job: str, day: str, phone: str) -> str:
    """Book a car in for service.

    Args:
        plate: Number plate of the car.
        job: What should be done: oil change, inspection, tyres or brakes.
        day: Day to bring the car, YYYY-MM-DD.
        phone: Phone number of the customer.
    """
    return f"{plate} is booked in for {job} on {day}."


@function_tool
async def reserve_lane(day: str, hour: str, club: str) -> str:
    """Reserve a swimming lane for a club.

    Args:
        day: The day, YYYY-MM-DD.
        hour: From what time.
        club: Name of the club.
    """
    return f"Lane 5 is reserved for {club} on {day}."


@function_tool
async def request_quote(from_place: str, to_place: str, rooms: int, phone: str) -> str:
    """Request a quote for a move.

    Args:
        from_place: Town where the move starts.
        to_place: Town where it ends.
        rooms: Number of rooms.
        phone: Phone number to call back.
    """
    return f"A quote for {rooms} rooms from {from_place} to {to_place} is on its way."


GARAGE = Stranger(
    name="car garage",
    instructions="""\
You answer calls at Hobbs & Daughter Motors, an independent garage at the end of Quarry Road. Plain
words, no car jargon. The workshop runs Monday to Friday 8 to 6, cars can be dropped from 7:30, and on
the first Saturday of a month we're here from 9 to 1. To book, get the number plate, the job, the day
and a phone number. Never say on the phone what is wrong with a car. If someone has broken down,
tell them that our recovery truck is on 555 070 2211 at any hour.""",
    knowledge=(
        (
            "Work and prices",
            """\
Oil and filter: 95 euros. Big service: from 280 euros. Yearly inspection: 120 euros, a second look after
repairs costs nothing. Changing four wheels is 40 euros, storing the other set until next season 50
euros. Brake pads front, fitted: 190 euros. Air conditioning refill: 85 euros. Labour is 78 euros an
hour. We look the car over and call you with a price before we start on anything above 100 euros. Old
parts are shown to you if you like. Our work carries a guarantee of two years.""",
        ),
        (
            "About us",
            """\
We work on all makes, but not on motorbikes or anything over 3.5 tonnes. Electric cars are done by Nora,
who is certified for high voltage. While yours is in, you can take one of four courtesy cars for 15
euros a day, fuel not included. Courtesy cars are for drivers over 23. Leave the key in the box by the
gate if you come before we open. Pay by card or bank transfer when you pick the car up, no cheques. The
waiting room has coffee and internet. Bus 8 goes back to town every twenty minutes. A quick wash is on
the house after each service. Insurance claims we settle with your insurer directly.""",
        ),
    ),
    tool=book_service,
    judged=(
        ("hello dear, my car needs its yearly check, what are you asking for that", ("120 euros",)),
        ("I start work at seven, how can I leave the car with you that early", ("box by the gate|7:30",)),
        ("will you just go ahead and fix it or ring me first", ("call you with a price",)),
        ("how do I get about while it's in the workshop", ("courtesy cars",)),
        ("my son's only twenty, could he drive the loan car", ("over 23",)),
        ("somebody drove into me, do I have to deal with the insurance myself", ("insurer directly",)),
        ("it just died on the motorway, what do I do", ("555 070 2211",)),
        ("how much for new break pets at the front", ("190 euros",)),  # misheard: brake pads
        ("do you sell second hand cars", NOTHING),
        ("what does a new windscreen cost", NOTHING),
    ),
)

POOL = Stranger(
    name="public swimming pool",
    instructions="""\
# Task
Speak for Riverside Baths, the town's indoor pool. Answer in one breath.
# Always true
Early swim is Tuesday and Thursday from 6:30 to 8. Normal hours are 10 AM to 8 PM, Sundays
until 5 PM. On Mondays the pool belongs to schools and clubs. Last entry is an hour before closing.
# Never
Don't predict how full it will be. Don't lend out the staff's phone. Clubs that want a lane say day,
hour and club.""",
    knowledge=(
        (
            "Tickets",
            """\
- Adults 5.80, under 16s 3.40, under 4s free
- Family (two adults, up to three children) 15.00
- Evening ticket from 6 PM 4.20
- Strip of ten: pay for nine
- Sauna on top of any ticket 7.50
- Locker deposit: a one euro coin
Unemployed people and pensioners show their card and pay 4.00.""",
        ),
        (
            "Around the water",
            """\
The big pool is 25 metres and 27 degrees warm, the teaching pool 32 degrees. The slide is for children
taller than 1.20 metres. Armbands and noodles can be borrowed at the desk, goggles are sold for 9
euros. Children who can't swim yet must stay within arm's reach of a grown-up. Beginners' lessons for
kids run for ten weeks and cost 95 euros, the waiting list is about three months. Aqua fitness is
on Fridays at 9 AM, just turn up, it is part of the ticket. Wednesday evening from 6 is for women
only. Please shower first. T-shirts in the water are not permitted, burkinis are. There's a hoist for
people who can't use the ladder. The snack bar shuts at 7. Found property goes to the town hall after
two weeks.""",
        ),
    ),
    tool=reserve_lane,
    judged=(
        ("what do we pay, that's me, my wife and the two little ones", ("15.00",)),
        ("I'd like to go for a swim before work, is that on at all", ("Early swim",)),
        ("how warm is the water", ("27 degrees",)),
        ("my mum is disabled, how would she get in the pool", ("hoist",)),
        ("is there a time when there's only ladies", ("women only",)),
        ("can my six year old go in on her own, she hasn't learned it yet", ("arm's reach",)),
        ("until when can I still get in in the evening", ("hour before closing",)),
        ("do I need a coin for the lock err", ("one euro coin",)),  # misheard: locker
        ("is there a diving tower", NOTHING),
        ("how much is a massage", NOTHING),
    ),
)

MOVERS = Stranger(
    name="moving company",
    instructions="""\
You take calls for Two Strong Sisters, a moving company from Alder Creek. Cheerful,
quick. Office: Mondays to Fridays 8 to 5, Saturdays 9 to noon. Moves happen seven days a week. Don't
promise arrival times to the minute. A quote needs both towns, the rooms and a phone number. Never
advise people to skip insurance. If somebody needs to move today, tell them that a same-day crew
costs 40 percent more and is called at 555 440 1000.""",
    knowledge=(
        (
            "What we charge",
            """\
Two movers and a truck are $130 an hour, three movers are $175. There's a two hour minimum. Driving time
from our yard to you is billed once, at half rate. Stairs: $15 per floor above the second. A piano
adds $220, an aquarium we don't move at all. Moves between the 10th and the 20th of a month are 10
percent cheaper. To hold the day we take $100, which comes off the bill. Move it to another day free
until 72 hours before.""",
        ),
        (
            "Good to know",
            """\
Boxes come in bundles of ten for $25, and we buy back those that are in good shape. Wardrobe boxes are on
loan for the day. Packing service: $45 an hour and packer, they bring all the paper. We take beds and
tables apart and put them together again. Please empty the fridge and switch it off the night
before. Basic coverage is 60 cents a pound by law, full value coverage is 1 percent of what you
declare. Plants travel at your own risk, pets can't ride along. We need a parking space of 40 feet, your
city hall gives out the permit. Storage for up to two months is in our own warehouse, $4 a day for each
pallet. Pay at the end by card, check or cash. Long distance is no trouble, but we don't cross the
border.""",
        ),
    ),
    tool=request_quote,
    judged=(
        ("just roughly, what are two guys and a truck by the hour", ("$130",)),
        ("we're on the fifth floor and there's no elevator, is that extra", ("$15 per floor",)),
        ("what if something breaks on the way, who pays for that", ("coverage",)),
        ("is there a time of the month when it's less money", ("10th and the 20th",)),
        ("my new place isn't ready, could you hang on to my things for three weeks", ("warehouse",)),
        ("do I have to take my bed to pieces myself", ("apart",)),
        ("is the cat allowed to come in the truck with you", ("can't ride along",)),
        ("do you move a piano and what's the sir charge", ("$220",)),  # misheard: surcharge
        ("do you clean the old apartment too", NOTHING),
        ("can you move us to Canada", ("don't cross the border",)),
    ),
)

ON_THE_LINE = (GARAGE, POOL, MOVERS)
