"""Wire models of agents."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field, model_validator

from api.agents import fields as f
from api.agents.extensions import ExtensionSettings, ExtensionUpdate
from api.agents.table import AgentRow, SeenAgent
from api.http.wire import Wire


class AgentSettings(ExtensionSettings):
    """Everything that an owner decides about an agent."""

    agent_name: f.Name
    voice_id: f.VoiceId
    """"provider-name". One that is not available here is kept as asked; another speaks."""
    response_engine: f.ResponseEngine
    language: f.Language = "tr-TR"
    voice_speed: f.VoiceSpeed = 1.0
    responsiveness: f.Unit = 0.5
    interruption_sensitivity: f.Unit = 0.5
    enable_backchannel: bool = True
    backchannel_frequency: f.Unit = 0.8
    backchannel_words: f.Words = Field(default_factory=list)
    """Empty: the usual ones of the language."""
    begin_message: f.Message | None = None
    begin_message_mode: f.MessageMode = "dynamic"
    """`static` is said as it stands, `dynamic` in the engine's own words."""
    reminder_message_frequency_ms: f.ReminderMs = 10_000
    reminder_max_count: f.ReminderCount = 2
    end_call_after_silence_ms: f.SilenceMs = 30_000
    max_call_duration_ms: f.DurationMs = 3_600_000
    enable_recording: bool = False
    enable_vcon_export: bool = False
    webhook_url: f.WebhookUrl | None = None
    transfer_targets: f.TransferTargets | None = None
    post_call_extraction: f.Extraction | None = None
    post_call_extraction_model: f.Model | None = "gpt-4o-mini"
    post_call_actions: f.Actions | None = None
    knowledge_base_ids: f.KnowledgeBaseIds | None = None
    kb_chunks_count: f.Chunks = 3
    kb_similarity_threshold: f.Unit = 0.6
    background_sound: f.BackgroundSound = "none"
    end_call_mode: f.MessageMode = "static"
    end_call_message: f.Message | None = None
    end_call_prompt: f.Message | None = None
    voicemail_detection_enabled: bool = False
    voicemail_detection_timeout_ms: f.VoicemailMs = 5_000
    voicemail_action: f.VoicemailAction = "hangup"
    voicemail_message: f.Message | None = None
    metadata: dict[str, Any] | None = None
    public_metadata: f.PublicCard | None = None

    @model_validator(mode="after")
    def _fallback_has_its_target(self) -> Self:
        names = {target.name for target in self.transfer_targets or ()}
        if (fallback := self.fallback) and fallback.action == "transfer" and fallback.target not in names:
            raise ValueError("fallback.target: a transfer needs the name of one of transfer_targets.")
        return self


class AgentCreate(AgentSettings):
    """An agent to be made."""


class AgentUpdate(ExtensionUpdate):
    """What to change about an agent; what is not sent stays. `response_engine` is replaced as a whole."""

    agent_name: f.Name | None = None
    voice_id: f.VoiceId | None = None
    response_engine: f.ResponseEngine | None = None
    language: f.Language | None = None
    voice_speed: f.VoiceSpeed | None = None
    responsiveness: f.Unit | None = None
    interruption_sensitivity: f.Unit | None = None
    enable_backchannel: bool | None = None
    backchannel_frequency: f.Unit | None = None
    backchannel_words: f.Words | None = None
    begin_message: f.Message | None = None
    begin_message_mode: f.MessageMode | None = None
    reminder_message_frequency_ms: f.ReminderMs | None = None
    reminder_max_count: f.ReminderCount | None = None
    end_call_after_silence_ms: f.SilenceMs | None = None
    max_call_duration_ms: f.DurationMs | None = None
    enable_recording: bool | None = None
    enable_vcon_export: bool | None = None
    webhook_url: f.WebhookUrl | None = None
    transfer_targets: f.TransferTargets | None = None
    post_call_extraction: f.Extraction | None = None
    post_call_extraction_model: f.Model | None = None
    post_call_actions: f.Actions | None = None
    knowledge_base_ids: f.KnowledgeBaseIds | None = None
    kb_chunks_count: f.Chunks | None = None
    kb_similarity_threshold: f.Unit | None = None
    background_sound: f.BackgroundSound | None = None
    end_call_mode: f.MessageMode | None = None
    end_call_message: f.Message | None = None
    end_call_prompt: f.Message | None = None
    voicemail_detection_enabled: bool | None = None
    voicemail_detection_timeout_ms: f.VoicemailMs | None = None
    voicemail_action: f.VoicemailAction | None = None
    voicemail_message: f.Message | None = None
    metadata: dict[str, Any] | None = None
    public_metadata: f.PublicCard | None = None


class Agent(AgentSettings):
    """An agent as it is stored."""

    agent_id: f.AgentId
    user_id: str | None = None
    status: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: AgentRow | SeenAgent) -> "Agent":
        """What was asked for, and what we know besides."""
        return cls.model_validate(
            {
                **row.config,
                "agent_id": row.id,
                "user_id": row.owner_id,
                "status": row.status,
                "created_at": row.created_at,
                "updated_at": row.updated_at,
            }
        )


class AgentCard(Wire):
    """What an end user sees of an agent."""

    agent_id: f.AgentId
    name: str
    language: str
    voice_id: str
    public_metadata: f.PublicCard

    @classmethod
    def of(cls, row: AgentRow) -> "AgentCard":
        """The part of a row that its owner shows."""
        return cls.model_validate(
            {
                "agent_id": row.id,
                "name": row.name,
                "language": row.config["language"],
                "voice_id": row.config["voice_id"],
                "public_metadata": row.config.get("public_metadata") or {},
            }
        )
