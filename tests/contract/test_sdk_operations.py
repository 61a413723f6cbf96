"""docs/sdk.md is true: every operation of the official SDK was called, on both databases."""

from tests.support.house import House
from tests.support.sdk_operations import DOC, outcomes, table


def test_every_operation_of_the_sdk_does_what_its_page_says(house: House) -> None:
    assert table(outcomes(house)) == DOC.read_text(encoding="utf-8")
