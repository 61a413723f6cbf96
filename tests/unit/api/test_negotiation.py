"""The one rule by which clients are told apart."""

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from api.http.negotiation import JSON, preferred

OGG = "audio/ogg"
SDK = {"Content-Type": JSON, "Accept": "*/*"}


@pytest.mark.parametrize(
    ("headers", "chosen"),
    [
        ({}, OGG),
        ({"Accept": "*/*"}, OGG),
        (SDK, JSON),
        ({"Content-Type": "application/json; charset=utf-8"}, JSON),
        ({**SDK, "Accept": "audio/ogg"}, OGG),
        ({**SDK, "Accept": "audio/*;q=0.5, */*;q=0.1"}, OGG),
        ({"Accept": "application/json"}, JSON),
        ({"Accept": "application/json, text/plain, */*"}, JSON),
        ({"Accept": "audio/ogg;q=0.2, application/json;q=0.9"}, JSON),
        ({"Accept": "application/json;q=0, */*"}, OGG),
        ({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}, OGG),
        ({**SDK, "Accept": "image/png"}, JSON),
        ({"Accept": "nonsense"}, OGG),
        ({"Accept": "application/json;q=x, audio/ogg"}, OGG),
    ],
    ids=str,
)
def test_accept_decides_then_the_content_type_then_the_reference(
    headers: dict[str, str], chosen: str
) -> None:
    assert preferred(make_mocked_request("GET", "/", headers=headers), (JSON, OGG), otherwise=OGG) == chosen


def test_an_accept_in_two_lines_is_one() -> None:
    headers = CIMultiDict([("Accept", "image/png"), ("Accept", "audio/ogg"), ("Content-Type", JSON)])
    assert preferred(make_mocked_request("GET", "/", headers=headers), (JSON, OGG), JSON) == OGG
