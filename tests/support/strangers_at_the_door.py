"""A kayak hire, a flower shop and a coworking space, asked once when the scripted engine was done."""

from livekit.agents.llm import function_tool

from tests.support.strangers import NOTHING, Stranger


@function_tool
async def reserve_boat(day: str, boat: str, name: str) -> str:
    """Reserve a boat for a day.

    Args:
        day: Day, YYYY-MM-DD.
        boat: Single kayak, double kayak or canoe.
        name: Name of the guest.
    """
    return f"Reserved: {boat} on {day} for {name}."


@function_tool
async def order_bouquet(day: str, size: str, name: str) -> str:
    """Order a bouquet for collection in the shop.

    Args:
        day: Day of collection, YYYY-MM-DD.
        size: Small, medium or large.
        name: Name of the customer.
    """
    return f"Ordered: a {size} bouquet for {name}, ready on {day}."


@function_tool
async def book_tour(day: str, name: str) -> str:
    """Book a tour of the house.

    Args:
        day: Day, YYYY-MM-DD.
        name: Name of the visitor.
    """
    return f"Tour booked for {name} on {day}."


KAYAKS = Stranger(
    name="Heron Bend Kayaks",
    instructions="""You are Robin, the voice on the phone at Heron Bend Kayaks, a small family business that \
hires out kayaks and canoes on the river Lenn. Be cheerful and brief: one or two sentences, no lists, no \
jargon. People often call from the road, so get to the point.

We are open from the first of April to the end of October, daily from nine until six. The boathouse is at \
14 Mill Lane, right behind the old paper mill.

You can reserve a boat for a caller; ask for the day, the kind of boat and a name. If you do not know \
something, say so honestly and suggest writing to hello@heronbend.example. Never promise anything about \
the weather.""",
    knowledge=(
        (
            "Boats and prices",
            """All prices are per boat and include paddles, life jackets and a dry bag.

- Single kayak: 22 euros for half a day, 34 euros for a full day
- Double kayak: 36 euros for half a day, 52 euros for a full day
- Canoe for up to four people: 48 euros for half a day, 70 euros for a full day

Half a day means four hours. If you come back late we charge 10 euros for every hour begun. We take cash and \
cards. A deposit of 50 euros per boat is held and released when the boat is back.""",
        ),
        (
            "Routes",
            """The short route goes from our boathouse down to Alder Bridge. It is seven kilometres long and \
takes about two hours. The water is calm and there are no weirs, so it suits beginners.

The long route continues to Saint Mary's Lock. It is eighteen kilometres and takes five to six hours. There \
is one weir at Tanner's Mill where you have to carry the boat around on the left bank.

Our van picks you up at the end of either route. The last pick-up at Alder Bridge is at 5:15 pm and at Saint \
Mary's Lock at 5:30 pm. The ride back is included in the price.""",
        ),
        (
            "Safety and who can paddle",
            """Everyone wears a life jacket, without exception. Children from six years may ride along in a \
double kayak or canoe with an adult. A single kayak of your own is possible from the age of fourteen. All \
paddlers must be able to swim.

Dogs are welcome in canoes but not in kayaks. We do not hire boats to people who have been drinking.

When the river gauge is above 1.80 metres we close the river and you get your money back in full.""",
        ),
        (
            "Before you come",
            """Bring shoes that may get wet, sun cream and a change of clothes. Glasses should be on a \
strap. There are lockers for valuables at the boathouse, free of charge.

You can cancel free of charge until 24 hours before the start; after that we keep half the price. Parking is \
on the meadow across the lane and costs 3 euros a day.""",
        ),
    ),
    tool=reserve_boat,
    judged=(),
    held_out=(
        ("How much is a canoe if we keep it the whole day?", ("70 euros",)),
        (
            "We've never been in a kayak before, the two of us. Which route would be the right one for us?",
            ("short route|suits beginners",),
        ),
        ("Can I take my dog?", ("welcome in canoes",)),
        ("My daughter is four. How old does she have to be to come along in the boat?", ("six years",)),
        ("How do we get back to the car once we've finished paddling?", ("van picks you up",)),
        ("Are you open in march?", ("first of April",)),
        (
            "what happens if the reefer is too high on the day do we get our money back",
            ("money back in full",),
        ),
        ("Is there somewhere to put my wallet and phone while we're on the water?", ("lockers",)),
        ("Do you also rent out stand-up paddle boards?", NOTHING),
        ("We'd like to stop for lunch on the way. Is there a restaurant along the river?", NOTHING),
    ),
)

FLOWERS = Stranger(
    name="Marigold & Moss",
    instructions="""You answer the phone for Marigold & Moss, a flower shop in Castle Street run by Hanna \
and her two assistants. Speak warmly and simply, as if across the counter, and keep every answer to two \
sentences at most. Callers may be ordering for a funeral, so never be jolly unless they are.

The shop is open Monday to Friday from 8:30 to 18:30 and Saturday from 8 to 14. On Sundays we are closed, \
except on Mother's Day, when we open from 9 to 12.

You can take an order for a bouquet to be collected: you need the day, the size and the name. For anything \
else you cannot answer, offer that Hanna calls back.""",
    knowledge=(
        (
            "Bouquets",
            """Our bouquets are bound fresh each day from what is in season. There are three sizes: small \
for 25 euros, medium for 40 euros and large for 60 euros. You may tell us colours you like, but we choose \
the flowers. Red roses are always in stock and cost 3.50 euros a stem.

Most bouquets last seven to ten days. Cut the stems at a slant, change the water every two days and keep the \
vase away from fruit and heating.""",
        ),
        (
            "Delivery",
            """We deliver within the city from Tuesday to Saturday. Orders received before 11 am go out the \
same day. Delivery costs 7 euros inside the ring road and 12 euros outside it. If nobody is at home, the \
driver leaves the flowers with a neighbour and puts a card in the letter box.

A handwritten greeting card is free with every delivery.""",
        ),
        (
            "Weddings",
            """For weddings we ask for a first talk at least three months ahead. The talk lasts about an \
hour and is free. A bridal bouquet starts at 120 euros, buttonholes are 12 euros each and a table \
arrangement starts at 35 euros. To hold the date we take a deposit of 30 percent. We bring everything to the \
venue and set it up ourselves.""",
        ),
        (
            "Funerals",
            """Wreaths need two working days' notice. They start at 95 euros; a printed ribbon is 18 euros \
extra. We bring wreaths straight to the chapel and arrange that with the undertaker, so the family need not \
do anything. Sprays for the coffin are made to order.""",
        ),
        (
            "House plants and workshops",
            """House plants can be repotted in the shop: you pay for the soil and the pot, the work is free. \
If a plant dies within 30 days of purchase, bring it back and we replace it.

On the first Thursday of every month Hanna teaches wreath binding at 7 pm. A place costs 45 euros including \
all materials, and the group is at most eight people.""",
        ),
    ),
    tool=order_bouquet,
    judged=(),
    held_out=(
        ("What does a medium sized bouquet cost?", ("40 euros",)),
        ("If I order now, around ten in the morning, will they get it today?", ("before 11 am|same day",)),
        (
            "My aunt might be out when your driver comes by. What do you do with the flowers then?",
            ("with a neighbour",),
        ),
        ("Are you there on Saturday afternoon?", ("8 to 14",)),
        (
            "We're getting married next summer. How early should we come and talk to you?",
            ("three months ahead",),
        ),
        ("my father passed away how much is a reef for the funeral", ("95 euros",)),
        ("How do I make the bunch last longer?", ("Cut the stems|change the water",)),
        (
            "I bought a fern from you two weeks ago and it's completely dead. Can you do anything?",
            ("we replace it",),
        ),
        ("Do you have artificial flowers too?", NOTHING),
        ("Can I pay with a gift voucher from the city?", NOTHING),
    ),
)

COWORKING = Stranger(
    name="The Loom House",
    instructions="""You are the telephone assistant of The Loom House, a coworking space in a former weaving \
mill with eighty desks on three floors. Be friendly and matter-of-fact, answer in one or two short \
sentences, and do not sell: people decide for themselves after a tour.

The front desk is staffed on weekdays from 8 to 17. The nearest tram stop is Weavers' Square, lines 4 and 9, \
two minutes on foot.

You can book a tour for a caller; ask for the day and the name. Tours take half an hour and cost nothing. \
Questions about invoices go to Petra at accounts@loomhouse.example. If you have no information on something, \
say so.""",
    knowledge=(
        (
            "Memberships",
            """Day pass: 19 euros, any free desk, weekdays from 8 to 17.
Flex: 149 euros a month, any free desk, ten days a month.
Fixed: 259 euros a month, your own desk with a lockable drawer, access around the clock.
Team room: from 890 euros a month, for four to eight people, access around the clock.

All prices are without VAT. Flex and Fixed can be cancelled to the end of each month; for a team room the \
notice is three months. Students get 20 percent off Flex.""",
        ),
        (
            "Meeting rooms",
            """There are three meeting rooms. The Shuttle seats four and costs 12 euros an hour. The Bobbin \
seats eight and costs 20 euros an hour. The Warp seats twenty and costs 45 euros an hour. Each has a screen \
and a whiteboard; the Warp also has a camera and microphones for video calls.

Fixed members have four hours a month free. Guests from outside can rent rooms too, at the same price. \
Bookings can be moved or cancelled up to 12 hours before they begin.""",
        ),
        (
            "In the house",
            """Coffee, tea and tap water are included in every membership and in the day pass. The kitchen \
on the second floor has a fridge, two microwaves and a dishwasher. Printing is 10 cents a page in black and \
white and 30 cents in colour.

For phone calls use one of the five booths; please do not make calls at the desks. Quiet work is on the \
third floor, where talking is not allowed at all. Well-behaved dogs may come on Fridays.

There is a shower in the basement next to the bicycle room. The bicycle room opens with your key card. A \
lost key card costs 15 euros.""",
        ),
        (
            "Post and company address",
            """You can use our address for your company for 39 euros a month, with or without a desk. \
Letters are scanned and sent to you by e-mail on the day they arrive. Parcels are kept at the front desk for \
up to 14 days.""",
        ),
    ),
    tool=book_tour,
    judged=(),
    held_out=(
        ("What do you charge if I just want to come in for a single day?", ("19 euros",)),
        (
            "I mostly work at night. Which membership lets me in at any hour?",
            ("Fixed|Team room", "around the clock"),
        ),
        ("Is coffee included?", ("included in every membership",)),
        (
            "There'll be about fifteen of us for a workshop. What would a room that size cost?",
            ("45 euros an hour",),
        ),
        ("Is there a discount if you're still at university?", ("20 percent off",)),
        ("Could I use your address for my company even though I don't need a desk?", ("39 euros a month",)),
        (
            "i cycle to work can i take a shower there is there a shower in the base meant",
            ("in the basement",),
        ),
        ("How do I get to you by tram?", ("Weavers' Square|lines 4 and 9",)),
        ("Do you have parking spaces for cars?", NOTHING),
        ("We have a little one. Is there any childcare in the building?", NOTHING),
    ),
)

AT_THE_DOOR = (KAYAKS, FLOWERS, COWORKING)
