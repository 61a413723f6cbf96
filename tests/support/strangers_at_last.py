"""A bakery, a dog hotel and an optician, asked when the scripted engine was done, and never tuned for."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def order_cake(cake: str, pickup_day: str, persons: int, name: str) -> str:
    """Order a cake for pickup.

    Args:
        cake: Kind of cake: chocolate, carrot, cheesecake or strawberry.
        pickup_day: Day of pickup, YYYY-MM-DD.
        persons: For how many persons.
        name: Name on the order.
    """
    return f"A {cake} cake for {persons} is ordered for {name} on {pickup_day}."


@function_tool
async def book_stay(dog_name: str, from_date: str, nights: int, phone: str) -> str:
    """Book a stay for a dog.

    Args:
        dog_name: The dog's name.
        from_date: First day, YYYY-MM-DD.
        nights: Number of nights.
        phone: The owner's phone number.
    """
    return f"{dog_name} stays from {from_date} for {nights} nights."


@function_tool
async def book_eye_test(day: str, time: str, patient_name: str) -> str:
    """Book an eye test.

    Args:
        day: Day of the test, YYYY-MM-DD.
        time: Time of day.
        patient_name: The patient's name.
    """
    return f"Eye test for {patient_name} on {day} at {time}."


BAKERY = Stranger(
    name="bakery",
    instructions="""\
You answer the phone at Crumb & Co, a sourdough bakery at 3 Mill Lane. Chatty is fine, pushy is not.
We bake Tuesday to Sunday, doors open at 7 and we close at 2 PM or whenever the bread is gone. Mondays
we're closed. Cakes have to be ordered three days ahead, never promise one sooner. If somebody asks
about allergies, tell them that everything is made in one kitchen with nuts.""",
    knowledge=(
        (
            "Bread and cake",
            """\
The country loaf is 6.50 dollars, the rye loaf 7 dollars and the baguette 3 dollars. Croissants are
3.75 dollars, with almonds 4.50. A whole cake for eight people costs 48 dollars, for twelve people 65
dollars. Writing a name on a cake is free. We have oat milk for the coffee without extra charge.
On Thursdays we bake gluten-free bread, please order it the day before. Yesterday's bread is half price.""",
        ),
        (
            "The shop",
            """\
There are twelve seats inside and a bench outside. We don't deliver, but the courier Pedalo picks up
for 9 dollars within the city. Restaurants get a discount from 20 loaves a week. Baking classes are
on the first Saturday of the month at 3 PM and cost 85 dollars. You can pay by card only, we don't
take cash. Our flour comes from the Hansen mill. We freeze nothing, but you can freeze our bread for
up to two months. To apply for a job, write to jobs@crumb.example.""",
        ),
    ),
    tool=order_cake,
    judged=(
        ("hey what time do you guys open tomorrow", ("doors open at 7",)),
        ("how much is a loaf of rye", ("rye loaf 7 dollars",)),
        ("Can I get a cake for tomorrow?", ("three days ahead",)),
        ("do you take cash", ("card only",)),
        ("is it okay if I sit down and eat there", ("twelve seats",)),
        (
            "can you put my son's name on the cake and what does that cost",
            ("Writing a name on a cake is free",),
        ),
        ("what do you do with the bread that's left over from yesterday", ("half price",)),
        ("do you have almond croissant's how much our they", ("4.50",)),  # misheard: are
        ("do you make wedding cakes", NOTHING),
        ("how much is a cappuccino", NOTHING),
    ),
)

DOG_HOTEL = Stranger(
    name="dog hotel",
    instructions="""\
# You
You are Bella from Waggington Manor, a boarding kennel for dogs, Hillside Road 88.
# Style
Loving, short, a little funny. Don't discuss other kennels.
# Need to know
Dogs can be dropped off and collected between 8 and 10 in the morning and between 4 and 6 in the
afternoon, every day of the year. We have room for 22 dogs. For a stay, note the dog's name, the
first day, the number of nights and a phone number.""",
    knowledge=(
        (
            "Prices",
            """\
| Service | Price |
| --- | --- |
| Overnight stay, small dog | 32 euros |
| Overnight stay, large dog | 39 euros |
| Day care | 24 euros |
| Bath and brush | 28 euros |
| Extra walk | 6 euros |

A second dog of the same family pays half. Food is included, and you may bring your own.""",
        ),
        (
            "Conditions",
            """\
Every dog must be vaccinated against rabies and kennel cough. Females in heat cannot stay with us.
Puppies are taken from the age of five months. Before the first stay there is a free trial afternoon.
Dogs sleep in pairs or alone, never more. They are walked three times a day, and the run is 2,000
square meters. Somebody is here all night. If a dog falls ill we drive it to Dr. Brandt in Oldham and
call you. We send a photo every evening. Stays can be cancelled up to five days before, after that
half is due. We give pills, but no injections. A blanket that smells of home helps.""",
        ),
    ),
    tool=book_stay,
    judged=(
        ("how much is it per night for a big dog", ("39 euros",)),
        ("what shots does he need to have", ("rabies",)),
        ("is there anybody there at night", ("here all night",)),
        ("when can I drop him off", ("8 and 10",)),
        ("we have two dogs, do we get a discount", ("pays half",)),
        ("how often do they go for a walk", ("three times a day",)),
        ("what happens when my dog gets sick while I'm away", ("Dr. Brandt",)),
        ("do you take pup ease and from what age", ("five months",)),  # misheard: puppies
        ("do you look after cats too", NOTHING),
        ("how much is nail trimming", NOTHING),
    ),
)

OPTICIAN = Stranger(
    name="optician",
    instructions="""\
You're on the phone for Clearview Opticians in the Rosehill shopping center, ground floor. Clear, calm
sentences, many callers are older. We're open Monday through Saturday 9:30 to 6:30. Eye tests need an
appointment, everything else doesn't. Never say anything about a diagnosis. If the caller suddenly sees
flashes or shadows, tell them that they have to go to an eye hospital at once.""",
    knowledge=(
        (
            "Our services",
            """\
An eye test takes half an hour and costs 30 pounds, for children under 16 and people over 60 it is free.
Single vision glasses start at 79 pounds, varifocals at 199 pounds. Sunglasses with your prescription
start at 99 pounds. Contact lenses are fitted by Mr. Adeyemi, a fitting is 45 pounds. Adjusting
and cleaning glasses is always free, wherever you bought them. New screws and nose pads are free, too.
Glasses are ready within seven working days, in a hurry two days for 25 pounds extra.""",
        ),
        (
            "Good to know",
            """\
Please don't wear contact lenses on the day before an eye test. If you're not happy with your new
glasses you can bring them back within 60 days. Broken frames have a two year guarantee. You can
pay in ten monthly rates without interest. Home visits are possible for people who cannot leave the
house, on Mondays. Old glasses are collected for charity. A driving license test can be done on the
spot for 12 pounds. The garage of the center is free for the first 90 minutes.""",
        ),
    ),
    tool=book_eye_test,
    judged=(
        ("how long does an eye test take and what's it cost", ("half an hour", "30 pounds")),
        ("Do I have to pay for my kid's eye test?", ("it is free",)),
        ("my glasses are sitting crooked can you fix that", ("Adjusting",)),
        ("how long until I can pick up the new glasses", ("seven working days",)),
        ("what if I don't like them", ("60 days",)),
        ("can someone come out to my mother's house, she can't walk", ("Home visits",)),
        ("where can I park", ("garage",)),
        ("can I wear my contacts before the I test", ("contact lenses on the day before",)),  # misheard: eye
        ("do you do laser surgery", NOTHING),
        ("how much is a hearing aid", NOTHING),
    ),
)

AT_LAST = (BAKERY, DOG_HOTEL, OPTICIAN)
