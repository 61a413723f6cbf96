"""Which URLs of owners are kept: those that could be reached at all."""

from api.http.errors import Invalid
from pipelines.outbound import Guard, Refused


class Unreachable(Invalid):
    """This address can never be reached from here"""


def reachable(guard: Guard, url: str, field: str) -> str:
    """The URL, unless it can be seen to lead where nothing may go. Raises a 422 that names the field.

    Without TLS only a host that the operator named (`CALL2ME_ALLOW_HOSTS`): calls are told of in full.
    """
    try:
        guard.check(url)
        if url.lower().startswith("http://") and not guard.is_named(url):
            raise Refused("The address must begin with https://.")
    except Refused as refused:
        raise Unreachable.at("body", field, msg=str(refused), type="url_refused", input=url) from None
    return url
