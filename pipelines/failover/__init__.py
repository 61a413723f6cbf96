"""Chains of providers: who steps in when one fails, is silent or stalls, and when it is back."""

from pipelines.failover.chain import Chain, Link, Patience, Switched
from pipelines.failover.llm import FailoverLLM
from pipelines.failover.stt import FailoverSTT
from pipelines.failover.tts import FailoverTTS

__all__ = ["Chain", "FailoverLLM", "FailoverSTT", "FailoverTTS", "Link", "Patience", "Switched"]
