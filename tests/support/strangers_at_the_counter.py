"""A gym, a repair shop and a pizzeria that the scripted engine was not written with."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def book_class(class_name: str, day: str, member_name: str) -> str:
    """Book a place in a fitness class.

    Args:
        class_name: Which class: spinning, yoga, boxing or pilates.
        day: Day of the class (YYYY-MM-DD).
        member_name: Name of the member.
    """
    return f"{member_name} has a place in {class_name} on {day}."


@function_tool
async def repair_status(ticket_number: str) -> str:
    """Look up how far a repair is.

    Args:
        ticket_number: Number on the repair ticket.
    """
    return f"Repair {ticket_number} is ready for pickup."


@function_tool
async def order_pizza(pizza: str, size: str, address: str, phone_number: str) -> str:
    """Order a pizza to be delivered.

    Args:
        pizza: Name of the pizza.
        size: Size of the pizza: small, large or family.
        address: Street and house number.
        phone_number: Phone number of the customer.
    """
    return f"One {size} {pizza} goes to {address}."


GYM = Stranger(
    name="gym",
    instructions="""\
You're Max, the phone guy at Ironworks Gym on 44 Foundry Street. Keep it upbeat, no long speeches.
We're open weekdays 6 AM to 11 PM and on weekends from 8 AM until 8 PM. If someone wants to book
a class, get the class, the day and their name. Don't give medical advice and never badmouth other gyms.
First-timers can come in for a free trial workout, they just need to bring a towel and clean shoes.
If anybody asks about freezing their membership, tell them that memberships can be paused for up to
three months a year.""",
    knowledge=(
        (
            "Memberships",
            """\
The basic membership is $29 a month and covers the weight room and the cardio area. The plus membership
is $45 a month and adds all classes and the sauna. A day pass costs $12. Students get 15 percent off
with a valid ID. There is a one-time joining fee of $20. You can quit any time with 30 days' notice,
by email to front@ironworks.example.
You have to be at least 16 to train here; under 18 a parent has to sign.""",
        ),
        (
            "The gym",
            """\
Personal training is $60 an hour with Dana or Luis. Spinning is on Tuesdays and Thursdays at 6:30 PM,
yoga on Mondays at 7 PM, boxing on Saturdays at 10 AM. Classes last 50 minutes and have room for
fourteen people. Lockers are free but bring your own padlock. We rent out towels for $2. Showers are
in both changing rooms. The lot behind the building has free parking for members for two hours.
Childcare is available on weekday mornings from 9 to noon for kids over one year old. Guests of
members pay $8.""",
        ),
    ),
    tool=book_class,
    judged=(
        ("hey do you guys do like a day pass or something and how much is it", ("$12",)),
        ("What time do you close on Sundays?", ("8 PM",)),
        ("is it okay if I bring a buddy along with me", ("Guests of members pay $8|Guests of members",)),
        ("how much notice do I have to give if I wanna cancel", ("30 days",)),
        ("who does the personal training and what does it cost", ("Dana or Luis", "$60")),
        ("can somebody watch my toddler while I work out", ("Childcare",)),
        ("how long is a spinning class", ("50 minutes",)),
        ("do you have a swimming pool", NOTHING),
        ("how much is a massage", NOTHING),
        ("do I need my own pad lock for the lock hers", ("padlock",)),  # misheard: lockers
    ),
)

REPAIRS = Stranger(
    name="phone repair shop",
    instructions="""\
# Role
You answer the phone for Fixwell, a small phone and tablet repair shop at 9 Canal Row. Two technicians,
Priya and Tomasz, work here.
# Rules
- Be honest and short.
- Never promise a price for water damage.
- Always ask for the ticket number when a customer wants to know how far a repair is.
# Facts
Tuesday to Friday we're open 10 to 7, Saturday 10 to 4, closed Sunday and Monday. No appointment is
needed, just walk in. Most screens are done in about an hour while you wait.""",
    knowledge=(
        (
            "Price list",
            """\
iPhone screen: 119 pounds
Samsung screen: 149 pounds
Battery, any phone: 49 pounds
Charging port: 59 pounds
Back glass: 85 pounds
Tablet screen: from 160 pounds
Checking what is wrong costs 20 pounds, and that is taken off the bill if we do the repair.""",
        ),
        (
            "How we work",
            """\
All repairs come with a six month warranty, except for water damage. Batteries take thirty minutes.
A phone that got wet stays here for three days to dry out. We cannot promise that your data
survives, so please make a backup first. We don't repair laptops or game consoles. Original Apple
parts can be ordered and take five working days. You get a loaner phone against a deposit of 50
pounds. We buy broken iPhones from the 11 upwards. Phones that are not collected within 90 days get
recycled. You can pay by card, cash or Apple Pay. The shop has a step at the door, ring the bell and
we'll help you in. The nearest tram stop is Canal Bridge.""",
        ),
    ),
    tool=repair_status,
    judged=(
        ("hi uh my iphone screen is cracked what would that run me", ("119 pounds",)),
        ("Can I just show up or do I need to make an appointment?", ("No appointment",)),
        ("how long does it take to swap a battery", ("thirty minutes",)),
        ("I dropped my phone in the sink, how long will you need to keep it", ("three days",)),
        ("will my photos still be on there after", ("backup",)),
        ("what if it breaks again a month later", ("six month warranty",)),
        ("do you guys fix playstations", ("don't repair laptops or game consoles|I don't have",)),
        ("how much for a new camera lens", NOTHING),
        ("do you sell phone cases", NOTHING),
        ("do I get a lone a phone in the meantime", ("loaner phone",)),  # misheard: loaner
    ),
)

PIZZERIA = Stranger(
    name="pizzeria with delivery",
    instructions="""\
You take calls for Da Nino, a wood oven pizzeria run by the Esposito family. Speak warmly and don't
rush people. When somebody orders, ask which pizza, which size, the address and a phone number.
We're closed on Mondays, all other days the kitchen runs from 5 PM to 10:30 PM, and on Fridays and
Saturdays until midnight. We deliver within five miles, the minimum order is 18 dollars. Delivery is
3 dollars and free from 40 dollars on. Do not take orders for catering, say that catering has to be
arranged by email at party@danino.example a week ahead. Never argue about the pineapple.""",
    knowledge=(
        (
            "Menu",
            """\
Margherita: small 9 dollars, large 13 dollars, family 24 dollars.
Diavola with spicy salami: small 11 dollars, large 16 dollars, family 29 dollars.
Quattro formaggi: small 12 dollars, large 17 dollars, family 31 dollars.
Every extra topping is 1.50 dollars. Gluten-free dough is 2 dollars more and only comes in small.
We have a vegan cheese made of cashews. Tiramisu is 6 dollars. There is a lunch buffet on Sundays from
noon to 3 PM for 19 dollars per adult.""",
        ),
        (
            "Delivery and table",
            """\
A delivery usually takes 35 to 50 minutes, longer when it rains. Drivers carry no change for bills
over 20. You can pay the driver by card or cash. Pickup is ready in 20 minutes and gets 10 percent
off. Tables for six or more need a reservation, smaller groups just walk in. The terrace has eight
tables and dogs are fine there, but not inside. The dough contains wheat and is made with olive oil,
no lard. Parking is tricky, the garage on Elm Street is two minutes away.""",
        ),
    ),
    tool=order_pizza,
    judged=(
        ("how long till the food gets here usually", ("35 to 50 minutes",)),
        ("what's a large margarita", ("large 13 dollars",)),
        ("do you guys deliver and is there a minimum", ("five miles", "18 dollars")),
        ("we're eight people tonight, do we have to book a table", ("six or more",)),
        ("can we bring our dog", ("dogs are fine",)),
        ("are you open Mondays", ("closed on Mondays",)),
        ("do you have anything for people who can't have glue ten", ("Gluten-free",)),  # misheard: gluten
        ("is it cheaper if I come and get it myself", ("10 percent",)),
        ("do you have any pasta", NOTHING),
        ("how much is a bottle of wine", NOTHING),
    ),
)

AT_THE_COUNTER = (GYM, REPAIRS, PIZZERIA)
