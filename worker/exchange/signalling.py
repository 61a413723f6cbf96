"""SIP's part of a call, for the shard that talks: the exchange does it, and says what came of it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pipelines.agent_config import TransferTarget
from pipelines.tools.call_control import CannotDo
from worker.exchange.frames import HangUpLine, HoldLine, Leave, PutThrough, TransferLine, Transferred, leg_of
from worker.lines.line import LineClosed
from worker.lines.phone import PhoneLine
from worker.lines.rtp.media import OurDirection

TRANSFER_SECONDS = 40.0
AGREE_SECONDS = 2.0
"""For the other side to agree to hold, or to go on; our own end does not wait for longer."""
Told = HangUpLine | Leave | TransferLine | PutThrough | HoldLine


@dataclass
class Signalling:
    """SIP's part of one call, done by the exchange. Implements `lines.phone.Signalling`."""

    call_id: str
    tell: Callable[[Told], None]
    can_transfer: bool
    over: "asyncio.Future[LineClosed]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    transferred: "asyncio.Future[Transferred | PhoneLine] | None" = None
    """What comes of a transfer, or who was reached for it."""
    agreed: "asyncio.Future[str] | None" = None
    wish: OurDirection = "sendrecv"
    is_hung_up: bool = False
    is_overheard: bool = False
    """What the other side says once it is put through is kept."""

    async def ended(self) -> LineClosed:
        """The other side is gone."""
        return await asyncio.shield(self.over)

    async def hang_up(self) -> None:
        """End the call."""
        self.is_hung_up = True
        self.tell(HangUpLine(call_id=self.call_id))

    async def transfer(self, target: TransferTarget, seconds: float) -> bool:
        """Hand the other side on; returns once somebody else has them."""
        told = await self._asked(self._transfer_to(target, seconds))
        return isinstance(told, Transferred) and told.is_bridged

    async def consult(self, target: TransferTarget) -> PhoneLine:
        """Have somebody called for the other side; returns once they have answered."""
        try:
            reached = await self._asked(self._transfer_to(target, 0.0, is_warm=True))
        except BaseException:
            self.tell(HangUpLine(call_id=leg_of(self.call_id)))  # whoever still rings
            raise
        if not isinstance(reached, PhoneLine):
            raise CannotDo("Nobody answered there")
        return reached

    async def put_through(self, seconds: float) -> None:
        """Whoever was reached has the other side."""
        await self._asked(PutThrough(call_id=self.call_id, seconds=seconds, is_overheard=self.is_overheard))

    @property
    def is_transferring(self) -> bool:
        """Somebody waits for what comes of a transfer."""
        return self.transferred is not None and not self.transferred.done()

    def came_of_it(self, told: "Transferred | PhoneLine") -> bool:
        """Tell whoever waits for it; False when nobody does any more."""
        if self.transferred is None or not self.is_transferring:
            return False
        self.transferred.set_result(told)
        return True

    def _transfer_to(self, target: TransferTarget, seconds: float, *, is_warm: bool = False) -> TransferLine:
        if target.kind not in ("phone", "sip"):
            raise CannotDo("Nobody of this kind can be reached by telephone")
        return TransferLine(
            call_id=self.call_id,
            target=target.kind,
            value=target.value,
            seconds=seconds,
            is_warm=is_warm,
            is_overheard=self.is_overheard,
        )

    async def _asked(self, frame: TransferLine | PutThrough) -> "Transferred | PhoneLine":
        self.transferred = asyncio.get_running_loop().create_future()
        self.tell(frame)
        try:
            async with asyncio.timeout(TRANSFER_SECONDS):
                told = await self.transferred
        except TimeoutError:
            raise CannotDo("Nobody answered there") from None
        if isinstance(told, Transferred) and not told.is_done:
            raise CannotDo(told.why_not or "The carrier did not do it")
        return told

    async def hold(self, wish: OurDirection) -> str:
        """Hold the call or go on: why the other side did not agree within a moment, empty when it did."""
        self.wish = wish
        self.agreed = agreed = asyncio.get_running_loop().create_future()
        self.tell(HoldLine(call_id=self.call_id, wish=wish))
        await asyncio.wait({agreed}, timeout=AGREE_SECONDS)
        return agreed.result() if agreed.done() else ""
