"""Wire models of brands."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from api.auth.schemas import address
from api.http.wire import Wire

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def _shown_url(url: str) -> str:
    # A page puts it into an img: nothing but the web, and nothing that ends the attribute.
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or re.search(r"[\s\"'<>\\]", url):
        raise ValueError("must be the address of a picture, like https://example.com/logo.svg")
    return url


def _domain(name: str) -> str:
    name = name.strip().rstrip(".").lower()
    labels = name.split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError("must be a domain, like voice.example.com")
    return name


Url = Annotated[str, Field(max_length=2048), AfterValidator(_shown_url)]
Colour = Annotated[
    str, Field(max_length=20, pattern=r"^(#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|[a-zA-Z]+)$")
]
Domain = Annotated[str, Field(max_length=255), AfterValidator(_domain)]


class BrandingConfig(Wire):
    """A brand. What is not set is as it comes."""

    app_name: Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f<>]*$")] | None = None
    logo_url: Url | None = None
    favicon_url: Url | None = None
    primary_color: Colour | None = None
    accent_color: Colour | None = None
    support_email: Annotated[str, Field(max_length=255), AfterValidator(address)] | None = None
    custom_domain: Domain | None = None
    hide_powered_by: bool = False
