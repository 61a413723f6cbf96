"""Hands a telephone that is in a room to somebody else, by the REFER of livekit-sip."""

import logging

import aiohttp
from google.protobuf.duration_pb2 import Duration
from livekit import api
from livekit.protocol import sip

from pipelines.agent_config import TransferTarget
from pipelines.contract.phones import PhoneOnward
from pipelines.tools.call_control import CannotDo
from worker.exchange.api import Api, NotAllowed
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

RING_SECONDS = 30
ANSWER_SECONDS = 35.0
_WHY = {486: "The line is busy there", 600: "The line is busy there", 603: "The carrier did not do it"}
_NOBODY = frozenset({408, 480, 487})


class SipTransfer:
    """For one call. Raises `CannotDo` with a sentence for the agent."""

    def __init__(self, settings: WorkerSettings, call_id: str) -> None:
        self._settings, self._call_id = settings, call_id

    async def __call__(self, room_name: str, identity: str, target: TransferTarget) -> None:
        """Returns once somebody else has the telephone."""
        if target.kind == "phone":
            to = _uri(await self._allowed(target.value))
        elif target.kind == "sip":
            to = target.value if target.value.startswith("sip") else f"sip:{target.value}"
        else:
            raise CannotDo("Nobody of this kind can be reached by telephone")
        asked = sip.TransferSIPParticipantRequest(
            room_name=room_name,
            participant_identity=identity,
            transfer_to=to,
            ringing_timeout=Duration(seconds=RING_SECONDS),
        )
        settings = self._settings
        async with aiohttp.ClientSession() as session:
            # failover=False: region discovery belongs to LiveKit's cloud, which we never contact.
            livekit = api.LiveKitAPI(
                settings.livekit_url,
                settings.livekit_api_key,
                settings.livekit_api_secret,
                session=session,
                failover=False,
            )
            try:
                told = await livekit.sip.transfer_sip_participant(asked, timeout=ANSWER_SECONDS)
            except api.SipCallError as error:
                raise CannotDo(_why(error.sip_status_code)) from None
            except (api.ServerError, aiohttp.ClientError, TimeoutError, OSError) as error:
                logger.warning("a telephone was not transferred", extra={"error": type(error).__name__})
                raise CannotDo("Nobody could be reached there") from None
        # A server of before this answer had a body says nothing, which reads as "ongoing".
        if told.status == sip.STS_TRANSFER_FAILED:
            raise CannotDo(_why(told.sip_status.code or None))

    async def _allowed(self, number: str) -> PhoneOnward:
        headers = {"X-Internal-Key": self._settings.internal_key}
        async with aiohttp.ClientSession(headers=headers) as http:
            try:
                return await Api(self._settings, http).onward(self._call_id, number)
            except NotAllowed as error:
                raise CannotDo(str(error)) from None


def _uri(onward: PhoneOnward) -> str:
    """A tel URI says its number from the plus on (RFC 3966, 5.1.4); any other is only the carrier's own."""
    number, server = onward.to_number, onward.server
    return f"tel:{number}" if number.startswith("+") or not server else f"sip:{number}@{server}"


def _why(code: int | None) -> str:
    if code is None:
        return "Nobody could be reached there"
    return _WHY.get(code) or ("Nobody answered there" if code in _NOBODY else f"It was refused there: {code}")
