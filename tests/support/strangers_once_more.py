"""A planetarium, a costume hire and a vegetable box farm, asked when the scripted engine learned to offer.

It came to 23 of 30 then, one fact told beside the question, and was mended for these questions since."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def reserve_seats(day: str, seats: int, name: str) -> str:
    """Reserve seats for a planetarium show.

    Args:
        day: Day of the show, YYYY-MM-DD.
        seats: Number of seats.
        name: Name of the guest.
    """
    return f"{seats} seats reserved for {name} on {day}."


@function_tool
async def book_fitting(day: str, time: str, name: str) -> str:
    """Book a fitting at the costume hire.

    Args:
        day: Day of the fitting, YYYY-MM-DD.
        time: Time of the fitting, HH:MM.
        name: Name of the customer.
    """
    return f"Fitting booked for {name} on {day} at {time}."


@function_tool
async def pause_box(week: str, name: str) -> str:
    """Pause the vegetable box for one week.

    Args:
        week: Monday of the week to pause, YYYY-MM-DD.
        name: Name of the subscriber.
    """
    return f"The box of {name} is paused for the week of {week}."


PLANETARIUM = Stranger(
    name="Alder Hill Planetarium",
    instructions="""\
You answer the phone at the Alder Hill Planetarium, a small star theatre on the hill above the town. \
Be warm and a little enthusiastic, but keep every answer to one or two sentences, because people are \
listening and not reading. The dome has 84 seats and they are not numbered. We are open Wednesday to \
Sunday from 1 pm to 9 pm and closed on Mondays and Tuesdays. If somebody wants to come to a show, \
ask for the day, the number of seats and a name, and reserve the seats with reserve_seats. Never \
make up a price or a time. If you don't know something, say so and offer that Miriam from the front \
desk calls back.""",
    knowledge=(
        (
            "Shows",
            """\
Every show lasts about 50 minutes and is followed by questions to the presenter.

- Stars Tonight: every open day at 7 pm. A live tour of the evening sky, for ages 10 and up.
- The Little Comet: Saturday and Sunday at 2 pm. A story for children from 4 to 8 years.
- Black Holes: Friday at 8 pm. With a talk by an astronomer from the university.

Please arrive 15 minutes early. Once the dome is dark we cannot let anybody in, as the light from \
the door blinds the whole audience. Tickets of latecomers can be moved to another day once.""",
        ),
        (
            "Prices",
            """\
Adults pay 12 euros. Children under 15 pay 7 euros, students and pensioners 9 euros. A family ticket \
for two adults and up to three children costs 32 euros. Children under 4 are free but sit on a lap. \
Reserved tickets are paid at the desk, in cash or by card.

School classes pay 5 euros per pupil, and two teachers come in free. Classes are welcome on weekday \
mornings, also on Mondays and Tuesdays, and should register three weeks ahead.""",
        ),
        (
            "Getting here and getting in",
            """\
Bus 14 stops right in front of the entrance and runs every 20 minutes. The car park below the hill \
has 30 spaces and is free of charge; from there it is a steep walk of ten minutes. Visitors with a \
disabled badge may drive up to the door.

There is a lift to the dome, and four places for wheelchairs in the last row. Food and drinks have \
to stay in the lobby, where our café sells coffee, cake and soup. Assistance dogs are allowed in the \
dome, other pets are not.""",
        ),
        (
            "Observatory nights",
            """\
On the first Friday of the month, from October to March, we open the roof and let visitors look \
through the big telescope from 9 pm. It costs 4 euros extra. When it is cloudy the observation is \
cancelled; we decide at 6 pm and put it on our website. Dress warmly, because the roof is not \
heated.""",
        ),
    ),
    tool=reserve_seats,
    judged=(),
    held_out=(
        ("How long does a show take?", ("50 minutes",)),
        (
            "Hi, we'd like to come on Sunday with our daughter, she's five. Is there anything for her?",
            ("The Little Comet", "2 pm"),
        ),
        ("What do two grown-ups with two kids pay altogether?", ("32 euros",)),
        (
            "What happens if we get stuck in traffic and the show has already begun?",
            ("we cannot let anybody in|can be moved to another day",),
        ),
        ("My father uses a wheelchair. Can he get up to the dome?", ("lift|four places for wheelchairs",)),
        ("Do we get fixed seats or can we sit where we like?", ("not numbered",)),
        ("And what if it's cloudy on the night with the telescope?", ("cancelled",)),
        ("how much is it for cool classes per people", ("5 euros",)),
        ("Do you sell gift vouchers?", NOTHING),
        ("My wife only speaks Spanish, do you have headphones with a translation?", NOTHING),
    ),
)

COSTUMES = Stranger(
    name="Harlequin Costume Hire",
    instructions="""\
You are the telephone assistant of Harlequin Costume Hire, a family business with more than three \
thousand costumes for carnival, theatre and theme parties. Speak politely and simply, in short \
sentences and without lists. You find us at 27 Weaver Street, in the back yard, on the second floor. \
The shop is open Tuesday to Friday from 11 am to 7 pm and Saturday from 10 am to 4 pm. Trying on \
costumes is only possible with a fitting appointment: ask for the day, the time and the name and use \
book_fitting. Do not promise that a certain costume is in stock. If a question goes beyond what you \
know, tell the caller that Mrs. Okafor will ring back.""",
    knowledge=(
        (
            "Hiring a costume",
            """\
A hire covers up to four days, for example from Thursday to Monday. Every further day costs 8 euros. \
Simple costumes are 25 euros, historical gowns and uniforms 60 euros, and mascots such as the bear \
or the lobster 75 euros. Hats, gloves and jewellery that belong to a costume are included. Wigs are \
sold and not hired, for hygienic reasons; they start at 18 euros.""",
        ),
        (
            "Deposit and identification",
            """\
We take a deposit of 50 euros per costume, for mascots 150 euros. You get it back when the costume \
returns complete. Please bring an identity card or passport when you collect. Customers under 18 \
need a parent who signs the contract. We accept cash and debit cards; credit cards are not accepted.""",
        ),
        (
            "Returning, cleaning and damage",
            """\
Please do not wash or iron anything yourself: the cleaning is done by us and is part of the price. \
Small things such as a lost button or an open seam are no problem. Burn holes, red wine and make-up \
that does not come out are charged by the work they cause, at most the value of the costume.

Costumes can be returned during opening hours, or at any time through the hatch beside the yard \
gate. Whoever returns late pays 12 euros per day.""",
        ),
        (
            "Reservations and groups",
            """\
A costume can be reserved up to three months ahead. If you cancel at least seven days before the \
collection, it costs nothing; after that we charge half of the hire.

Theatre groups and schools that hire ten costumes or more get 20 percent off. In the two weeks \
before carnival there are no discounts and fittings last 30 minutes; otherwise you have an hour.

Our seamstress shortens sleeves and hems while you wait, free of charge. Sizes range from children's \
size 104 to adult XXXL. We do not ship costumes.""",
        ),
    ),
    tool=book_fitting,
    judged=(),
    held_out=(
        ("Where exactly is your shop?", ("27 Weaver Street",)),
        ("What would one of those old historical dresses cost me?", ("60 euros",)),
        (
            "I've got a pirate costume from you. Should I put it in the washing machine before I return it?",
            ("do not wash|the cleaning is done by us",),
        ),
        ("Can I pay with my credit card?", ("not accepted",)),
        ("Our drama club needs fifteen outfits, do we get it any cheaper?", ("20 percent",)),
        ("My son is sixteen and wants to hire something for a party. Can he do that alone?", ("a parent",)),
        ("could you send the costume to me by post", ("do not ship",)),
        ("how much is the deposit for a mask it", ("150 euros",)),
        ("Do you also do face painting?", NOTHING),
        ("I have a box of old costumes from my grandmother in the attic. Would you buy them?", NOTHING),
    ),
)

FARM_BOX = Stranger(
    name="Greenacre Farm Box",
    instructions="""\
You take the calls for Greenacre Farm Box. We are an organic farm that brings vegetables to about \
six hundred households in and around Marlow. Talk like a friendly neighbour: relaxed, clear and \
short, no more than two sentences at a time. Our office is staffed Monday to Thursday from 8 am to \
noon. Subscribers who are going away can pause their box for a week; ask for the week and the name \
and call pause_box. Changes for a week have to reach us by Sunday evening, because we harvest on \
Monday. Don't give advice on health or diets. What you can't answer goes to Tom, who writes back by \
email within two days.""",
    knowledge=(
        (
            "Our boxes",
            """\
- Small box, 16 euros: five kinds of vegetables, enough for one or two people.
- Large box, 27 euros: eight kinds of vegetables and salad, for a family of four.
- Fruit bag, 11 euros: two kilos of seasonal fruit, only together with a box.

Ten eggs from our own hens can be added for 5 euros. What is in the box is decided by the field, and \
we announce it every Sunday by email. You may name up to three vegetables that you never want to \
get; we replace them with something else.""",
        ),
        (
            "Delivery",
            """\
We deliver on Tuesdays in the town and on Wednesdays in the villages, between 6 am and 2 pm. The \
delivery costs 2.50 euros. You need not be at home: tell us a shady place, for example behind the \
garage or with a neighbour. Put out the empty crate from the week before, so that we can use it \
again. A crate that never comes back costs 9 euros.

Those who prefer it can collect their box at the farm gate on Tuesday from 3 pm to 7 pm and save the \
delivery.""",
        ),
        (
            "Subscription and payment",
            """\
The box comes every week or every second week, as you like. There is no minimum term; you can stop \
with two weeks' notice by email. A trial box without a subscription is available once per household \
for 14 euros. We collect the money by direct debit at the end of the month.

You can pause as often as you like, but not longer than eight weeks at a stretch.""",
        ),
        (
            "The farm",
            """\
Greenacre has been certified organic since 1998 and works 23 hectares. We grow about forty kinds of \
vegetables without sprays or artificial fertiliser. In winter we buy in from two partner farms; \
oranges and lemons come from a cooperative in Sicily.

If something arrives spoiled, send us a photo on the same day and we credit the item. Visitors are \
welcome on the open farm day, the second Saturday in September, with tractor rides and soup for \
everybody.""",
        ),
    ),
    tool=pause_box,
    judged=(),
    held_out=(
        (
            "We're two adults and two kids. Which box would be right for us, and what does it cost?",
            ("Large box", "27 euros"),
        ),
        ("I can't stand beetroot. Can I leave it out?", ("up to three vegetables|we replace them",)),
        ("On what day do you come to the villages?", ("Wednesdays",)),
        (
            "I'm at work all morning. Does somebody have to be there when you bring it?",
            ("need not be at home",),
        ),
        ("How do I get out of the subscription again?", ("two weeks' notice",)),
        ("Two of my tomatoes were mouldy this morning, what do I do now?", ("photo",)),
        ("Until when can I tell you about changes for next week's box?", ("Sunday evening",)),
        ("can i get a trail box once without a prescription", ("14 euros|once per household",)),
        ("Do you have milk and cheese as well?", NOTHING),
        ("My daughter is looking for a summer job, do you need people for the harvest?", NOTHING),
    ),
)

ONCE_MORE = (PLANETARIUM, COSTUMES, FARM_BOX)
