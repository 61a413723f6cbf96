"""What the first start makes, so that the first talk is worth having: an agent, knowledge, a function."""

import asyncio
import shutil
from pathlib import Path

from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.schemas import AgentCreate
from api.agents.table import AgentRow
from api.knowledge_base import service as knowledge_base
from api.seed_data import clinic

_FUNCTIONS = Path(__file__).parent / "seed_data" / "functions"


async def seed(session: AsyncSession, owner_id: str, home: Path) -> AgentRow:
    """Give a new owner the demo agent, and this machine its folder of functions where it has none yet.

    Call it once, for the first owner; the caller commits.
    """
    await asyncio.to_thread(lay_out_functions, home / "functions")
    base = await knowledge_base.texts_added(session, owner_id, clinic.KNOWLEDGE_BASE, clinic.KNOWLEDGE)
    wanted = AgentCreate.model_validate(
        {
            "agent_name": clinic.NAME,
            "voice_id": "hibari-default",
            "language": "en-US",
            "begin_message": clinic.GREETING,
            "begin_message_mode": "static",
            "enable_recording": True,
            "knowledge_base_ids": [base.id],
            "response_engine": {
                "type": "call2me-llm",
                "system_prompt": clinic.INSTRUCTIONS,
                "llm_provider": "call2me",
                "llm_model": "default",
                "functions": [{"type": "python", "name": clinic.FUNCTION}],
            },
        }
    )
    return await agents.create(session, owner_id, wanted)


def lay_out_functions(folder: Path) -> None:
    """Copy the example functions into an empty or missing folder; one with anything in it is the owner's."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        return
    for source in sorted(_FUNCTIONS.glob("*.py")):
        shutil.copyfile(source, folder / source.name)
