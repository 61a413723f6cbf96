"""What a call costs its owner: which of the rates apply, and what its charge says of it."""

from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.costs import Engines, Prices, split
from api.calls.settlement import events_of
from api.calls.table import CallRow, CallUsageRow
from api.settings import Settings
from api.users import service as users
from api.wallet import charges
from api.wallet import rates as price_list
from pipelines.agent_config import AgentConfig
from pipelines.contract.events import CallStarted


async def reserve(
    session: AsyncSession, call: CallRow, agent: AgentConfig, longest_seconds: int, settings: Settings
) -> int:
    """Hold back what a call may cost; how many seconds it may last. Raises `InsufficientBalance`."""
    rates = price_list.load(settings.rates)
    tariff = charges.Tariff.of(
        rates,
        is_phone=call.call_type == "phone_call",
        is_outbound=call.direction == "outbound",
        is_recorded=agent.enable_recording,
        is_realtime=agent.engine.kind == "realtime",
        is_recorded_after_transfer=agent.enable_recording and agent.record_after_transfer,
    )
    # Where this server pays, nobody earns by it.
    if settings.is_billing and (tenant := await users.tenant_of(session, call.owner_id)) is not None:
        owner_id, margin = tenant
        tariff = tariff.model_copy(update={"tenant_owner_id": owner_id, "tenant_margin_percent": margin})
    held = await charges.hold(
        session,
        call_id=call.id,
        owner_id=call.owner_id,
        tariff=tariff,
        longest_seconds=longest_seconds,
        rates=rates,
        is_billed=settings.is_billing,
    )
    return min(longest_seconds, held.seconds)


async def require(session: AsyncSession, owner_id: str, settings: Settings) -> None:
    """Raise `InsufficientBalance` where billing is on and the owner may begin no call."""
    if settings.is_billing:
        await charges.require(session, owner_id, price_list.load(settings.rates))


async def charge(session: AsyncSession, call_id: str, prices: Prices) -> str:
    """Charge a call whose usage is written; returns who paid.

    Nothing for one that held nothing, or was charged.
    """
    usage = await session.get(CallUsageRow, call_id)
    if usage is None:
        return ""
    call = await session.get(CallRow, call_id)
    started = [event for event in await events_of(session, call_id) if isinstance(event, CallStarted)]
    engines = Engines(started[-1].stt, started[-1].llm, started[-1].tts) if started else None
    charged = await charges.charge(
        session,
        call_id,
        charges.Used(
            agent_id=usage.agent_id,
            duration_ms=usage.duration_ms,
            agent_ms=call.agent_ms if call is not None and call.bridged_at is not None else None,
            tokens_in=usage.llm_input_tokens,
            tokens_out=usage.llm_output_tokens,
            characters=usage.tts_characters,
            engines=engines,
            providers=split(usage, engines, prices) if engines else None,
        ),
    )
    return charged.owner_id if charged is not None else ""
