"""A hair salon, a self storage and a climbing hall, asked by callers who ramble."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def book_chair(service: str, day: str, time: str, first_name: str) -> str:
    """Book a chair at the salon.

    Args:
        service: Cut, colour, highlights or blow-dry.
        day: The day, YYYY-MM-DD.
        time: Time of day.
        first_name: First name of the guest.
    """
    return f"{first_name} has a chair for {service} on {day} at {time}."


@function_tool
async def check_unit(size: str) -> str:
    """Check whether a storage unit of a size is free.

    Args:
        size: Size of the unit: small, medium or large.
    """
    return f"A {size} unit is free right now."


@function_tool
async def sign_up_for_course(course: str, start: str, name: str) -> str:
    """Sign somebody up for a climbing course.

    Args:
        course: Which course: taster, toprope or lead.
        start: First day of the course, YYYY-MM-DD.
        name: Name of the climber.
    """
    return f"{name} is signed up for the {course} course on {start}."


SALON = Stranger(
    name="hair salon",
    instructions="""\
Hi! You're the voice of Studio Nine, Lena's hair salon on Baker Street, above the flower shop. Sound like
a good friend, no slang though. Tuesday through Friday it's 9 to 7, Saturdays 8 to 3, and we take Sunday
and Monday off. Bookings need a service, a day, a time and a first name. Please never guess how
long somebody's colour will last, and don't comment on other salons. When someone complains, say
that Lena calls back the same evening.""",
    knowledge=(
        (
            "Menu",
            """\
## Cuts
Women's cut with wash and blow-dry: 58 euros. Men's cut: 34 euros. Fringe trim between two cuts: free.
Kids up to ten: 22 euros.

## Colour
Full colour starts at 75 euros. Highlights are 110 euros for half a head and 145 for the whole head.
Everyone new to our colour does a patch test 48 hours earlier, it takes five minutes.

## More
Bridal styling incl. trial: 240 euros. Olaplex treatment: 30 euros on top.""",
        ),
        (
            "House rules",
            """\
If you're more than fifteen minutes late we may have to shorten the appointment. Cancel by noon of the
day before, otherwise half the price is due. Not in love with the result? Tell us within seven days and
we redo it at no cost. We only work with vegan products from Davines, and sell them, too. Tips go to the
trainee fund. Bring your dog, Oskar the salon pug likes company. There is no lift, the stairs are steep.
Two bays in the courtyard are ours, ring when you arrive. Your hair should be unwashed for an updo.""",
        ),
    ),
    tool=book_chair,
    judged=(
        ("hiya, what would a wash cut and blow dry set me back, I've got long hair", ("58 euros",)),
        ("my fringe is in my eyes, do you charge for just doing that", ("free",)),
        ("um so I had it done on Thursday and honestly I hate it, what can you do about it", ("seven days",)),
        ("the traffic is terrible, I'll be there like twenty minutes after my slot", ("fifteen minutes",)),
        ("is it a problem with a wheelchair", ("no lift",)),
        ("do I wash my hair before I come in for the wedding hairdo", ("unwashed",)),
        ("are the things you put on people's hair tested on animals or are they vegan", ("vegan products",)),
        ("and how much are high lights all over", ("145 for the whole head",)),  # misheard: highlights
        ("do you guys also do nails", NOTHING),
        ("how much is a perm", NOTHING),
    ),
)

STORAGE = Stranger(
    name="self storage",
    instructions="""\
Role: you answer for BoxYard Self Storage, unit 7, Harbour Industrial Estate.
Tone: matter-of-fact. No small talk.
Things you know by heart:
* The yard can be entered every day between 5 in the morning and 11 at night with your code.
* Somebody is in the office on weekdays, 9:30 to 5:30.
* The shortest rental is one month.
Do not talk about the contents of any unit, not even to the police. Never give out codes.""",
    knowledge=(
        (
            "Sizes and rates",
            """\
A small unit has 25 square feet and costs 39 pounds a month, that's enough for twenty boxes. A medium
unit has 75 square feet, 85 pounds a month, and holds the furniture of a two-room flat. A large unit
has 150 square feet, 149 pounds a month, and takes a whole house. The first month is half price for
students. Who pays a year in advance gets one month free. The deposit equals one month and comes back
when you leave.""",
        ),
        (
            "What to know",
            """\
Cover up to 2,000 pounds is part of the rent, more can be bought for 4 pounds per thousand. You put your
own padlock on the door, or buy one here for 12 pounds. Not allowed are food, animals, gas bottles,
fireworks and anything stolen. Vans can drive right up to the doors, and trolleys are lent for nothing.
Two weeks' notice is enough to end the contract. If a payment is three weeks overdue the code stops
working. Everything is dry and never gets colder than ten degrees. Cameras record day and night. Boxes
and tape are sold in the office. Parcels for you are taken in while the office is staffed. We have no
van of our own, but Hal's Vans around the corner gives our customers ten percent off.""",
        ),
    ),
    tool=check_unit,
    judged=(
        ("right, I've got a two bedroom flat to clear, what size do I need", ("two-room flat",)),
        ("could I get to my stuff at ten at night", ("11 at night",)),
        ("what's the least amount of time I can take one for", ("one month",)),
        ("is my furniture insured with you", ("2,000 pounds",)),
        ("am I going to find everything mouldy in spring", ("dry",)),
        ("what happens if I forget to pay", ("code stops working",)),
        ("do I bring a lock or do you give me one", ("padlock",)),
        ("can I drive the fan up to the door", ("right up to the doors",)),  # misheard: van
        ("can I run my workshop out of a unit", NOTHING),
        ("how much is it to have a pallet shipped to Spain", NOTHING),
    ),
)

CLIMBING = Stranger(
    name="climbing hall",
    instructions="""\
You are Kai and work the phone for Gravity Lab. Easygoing, you may say "cool" now and then.
Our hall is next to the old gasworks, ten minutes by bike from downtown. Weekdays we open at noon and
close at 11 PM. Saturdays, Sundays and holidays it's 9 AM to 9 PM. Never tell anyone a climb is safe.
For a course you need: which one, which start day, whose name. If the caller wants a refund, say you're
sorry and that Mia from the office decides, mia@gravitylab.example.""",
    knowledge=(
        (
            "FAQ",
            """\
Q: I have never climbed. Can I just come?
A: Yes, bouldering needs no experience, someone shows you the rules in ten minutes.
Q: What do I wear?
A: Anything you can stretch in, no jewellery please.
Q: Do I have to buy shoes?
A: No, shoes are 4 dollars for the day, a harness is 5 and chalk is 2.
Q: Can my kids climb?
A: From six years on with an adult next to them, from fourteen on alone with a signed form.
Q: Is there something to eat?
A: The café upstairs has soup, pizza and cake until an hour before we close.""",
        ),
        (
            "Tickets and courses",
            """\
Day ticket: 16 dollars, after 8 PM only 10 dollars. Ten visits: 130 dollars, never expires and can be
shared with friends. Monthly pass: 69 dollars, frozen on request while you are injured. The taster
course lasts two hours and costs 35 dollars with gear. The toprope course is on two evenings, 89
dollars, and ends with the belay card that you need to climb with a rope. Without the card you can only
boulder. Birthday parties run on weekends, two hours, 22 dollars a head, at least six kids. New routes
are set every second Wednesday, then the left wall is closed until 5 PM. Lost things stay in the box at
the desk for a month.""",
        ),
    ),
    tool=sign_up_for_course,
    judged=(
        ("so I've literally never done this before, is that a problem or", ("no experience",)),
        ("what's it cost if I come late in the evening, like half eight", ("10 dollars",)),
        ("my boy turns nine and wants his party at yours, what would that be", ("22 dollars a head",)),
        ("I broke my ankle, do I keep paying for my pass", ("frozen on request",)),
        ("can my girlfriend use my punch card too", ("shared with friends",)),
        ("I think I forgot my water bottle there last week", ("box at the desk",)),
        ("how do I get that card for the ropes", ("toprope course|belay card",)),
        ("how much are the shoes and the hardness", ("4 dollars",)),  # misheard: harness
        ("do you have a sauna", NOTHING),
        ("is there a discount for firefighters", NOTHING),
    ),
)

BY_PHONE = (SALON, STORAGE, CLIMBING)
