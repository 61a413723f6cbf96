"""We hold a call, or go on with it: re-INVITEs of ours, of which the last wish counts.

    agree(call, "sendonly")   the other side listens to music of ours and sends nothing
    agree(call, "inactive")   no sound either way: the other side, or its carrier, plays what it likes
    agree(call, "sendrecv")   both talk again
                              ► "", or why it was not agreed on; the talker is told of the changed media

    200 ─► agreed     491 ─► the engine asks again after RFC 3261's wait, twice     481 ─► the call is over
    488, 5xx, no answer ─► to hold, our own end alone holds: it plays its music and hears nothing
                        ─► to go on, asked again a few times: whoever was told to be silent is silent

What the line does meanwhile is its own (`lines.phone.PhoneLine.hold`); a talker of another kind plays
`lines.music.Music` in the place of whoever spoke. A wish outlives shard and exchange: it goes along with the
call when another shard takes it, and stands in the journal.
"""

import asyncio

from worker.exchange import sdp, sip
from worker.exchange.calls import PhoneCall
from worker.lines.rtp.media import OurDirection

AGAIN_SECONDS = (2.0, 4.0, 8.0)
"""Between the tries to go on with a call whose carrier refuses to."""


async def agree(call: PhoneCall, wish: OurDirection) -> str:
    """Have this agreed on; why it was not, in a sentence. A newer wish is an answer to an older one."""
    call.wish = wish
    for pause in (*AGAIN_SECONDS, None):
        async with call.agreeing:
            if call.is_over or call.wish != wish or call.media.ours == wish:
                return ""
            why_not = await _asked(call, wish)
        if not why_not or wish != "sendrecv" or pause is None:
            return why_not
        await asyncio.sleep(pause)
    return ""


async def _asked(call: PhoneCall, wish: OurDirection) -> str:
    call.ours = ours = call.ours.next()
    spoken = call.media
    try:
        reply = await call.dialog.reinvite(ours.offer_again(spoken, wish))
    except sip.SipError as error:
        return str(error)
    if not reply.is_success:
        said = f"{reply.code} {reply.reason}" if reply.is_from_wire else "no answer"
        return f"The carrier did not agree: {said}"[:200]
    try:
        answer = sdp.read(reply.body)
        sdp.check_address(answer.remote, spoken.remote[0], ours.sockets)
        media = ours.agreed_again(answer, spoken, wish)
    except (sdp.BadSdp, sdp.NoCodec, sdp.ForbiddenAddress) as error:
        return f"The carrier's answer will not do: {str(error) or type(error).__doc__}"[:200]
    call.agreed_on(media)
    return ""
