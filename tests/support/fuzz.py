"""The whole OpenAPI document against a started server, by schemathesis: `make fuzz`.

Answers must be documented, fit their schema and be no server errors; what one operation made is handed
to others.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.house import House, running_house

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
LEFT_ALONE = "^/v1/(auth/logout|auth/change-password|users/me)$|^/internal/calls/.*/recording$"
"""What ends the login by which all else is asked, and a body that schemathesis cannot make."""
LONG = ("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "100")


def fuzzed(house: House, arguments: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """One run as somebody who has an agent; its exit code is 0 only when nothing was found."""
    person = house.person()
    command = [
        sys.executable, "-m", "schemathesis.cli",
        "--config-file", str(Path(__file__).with_name("schemathesis.toml")),
        "run", f"{house.api.url}/openapi.json", "--url", house.api.url,
        "--header", f"Authorization: Bearer {person.token}",
        "--checks", CHECKS, "--exclude-path-regex", LEFT_ALONE,
        "--continue-on-failure", "--no-color", "--request-timeout", "60", *arguments,
    ]  # fmt: skip
    # It keeps notes of its own where it runs.
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=house.api.home,
        check=False,
        timeout=7200,
    )


def main() -> None:
    """A long run on a server of its own; more arguments are schemathesis's."""
    with tempfile.TemporaryDirectory() as folder, running_house(Path(folder) / "home") as house:
        done = fuzzed(house, sys.argv[1:] or LONG)
    sys.stdout.buffer.write(done.stdout)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
