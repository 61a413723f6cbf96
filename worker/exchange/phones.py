"""Whether this worker can have phones; light enough for the supervisor."""

from importlib.util import find_spec

from worker.settings import WorkerSettings

ENGINE = "call2me_sip"


def why_not(settings: WorkerSettings) -> str:
    """Why there are no phones although they are wanted; empty when there are, or nobody wants any."""
    if not settings.has_phones:
        return ""
    if find_spec(ENGINE) is None:
        return "the SIP engine is not installed: run make phones"
    if find_spec("aiortp") is None:
        return "aiortp is not installed: run make install, or pip install 'call2me-runtime[phones]'"
    return ""


def is_on(settings: WorkerSettings) -> bool:
    """Whether there are phones."""
    return settings.has_phones and not why_not(settings)
