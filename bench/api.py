"""What the api serves a second on one processor: `python -m bench.api`; `--write` for docs/benchmarks.md.

`wrk` (a Debian package) asks from the other processor, over 32 connections. Peers in the same run do the
least that is the same work (look up whose key it is, then read one row or durably write one): bare aiohttp
with aiosqlite, and FastAPI with SQLModel where CALL2ME_BENCH_FASTAPI names a Python that has them:

    python -m venv /tmp/peers
    /tmp/peers/bin/pip install fastapi uvicorn uvloop httptools sqlmodel aiosqlite greenlet
    CALL2ME_BENCH_FASTAPI=/tmp/peers/bin/python python -m bench.api --write
"""

import argparse
import json
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.support.api import AGENT, ROOT, Api, Person, running_api
from tests.support.knowledge import form
from tests.support.ports import free_port
from tests.support.postgres import postgres

PAGE = ROOT / "docs" / "benchmarks.md"
MARK = "<!-- api: written by bench/api.py -->"
PEERS = ROOT / "bench" / "peers"
SECONDS, CONNECTIONS = 6, 32
CALLS, ROWS = 1_000_000, 100_000
COUNTED_SECONDS = 180.0
"""Two rounds of the sweeper: old calls are counted then."""
SCRIPT = """
local n = 0
request = function()
  n = n + 1
  local headers = {["Authorization"] = KEY, ["Content-Type"] = "application/json"}
  if METHOD == "GET" then return wrk.format(METHOD, PATH, headers) end
  return wrk.format(METHOD, PATH, headers, string.format(BODY, BASE + n))
end
done = function(summary, latency)
  local failed = summary.errors.status + summary.errors.timeout + summary.errors.read + summary.errors.connect
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), failed))
end
"""
_bases = count(1)

Row = tuple[str, str, str, str]
"""What, a second, p50 and p99, the goal."""


@dataclass(frozen=True)
class Asked:
    """One kind of request."""

    method: str
    path: str
    body: str = ""
    """With one %d, so that no two are the same."""


def say(text: str) -> None:
    """Progress, where the figures do not go."""
    sys.stderr.write(f"{text}\n")


def load(url: str, key: str, asked: Asked) -> tuple[str, str]:
    """Requests a second and "p50 / p99 ms" after a warm-up. Raises when any request fails."""
    for seconds in (2, SECONDS):
        named = {"METHOD": asked.method, "PATH": asked.path, "BODY": asked.body, "KEY": f"Bearer {key}"}
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            file.write("".join(f"{name} = {json.dumps(value)}\n" for name, value in named.items()))
            file.write(f"BASE = {next(_bases) * 100_000}\n{SCRIPT}")
            file.flush()
            done = subprocess.run(
                [
                    "taskset", "-c", "1",
                    "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", file.name, url,
                ],
                capture_output=True, text=True, check=True, timeout=60,
            )  # fmt: skip
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if not found or int(found[5]):
        raise RuntimeError(done.stdout + done.stderr)
    requests, micros, p50, p99 = (int(found[number]) for number in range(1, 5))
    return f"{requests / micros * 1e6:,.0f}", f"{p50 / 1000:.1f} / {p99 / 1000:.1f} ms"


def pinned(url: str) -> None:
    """Put the api that listens there on the first processor."""
    port = url.rpartition(":")[2]
    found = subprocess.run(["fuser", f"{port}/tcp"], capture_output=True, text=True, check=True)
    for pid in found.stdout.split():
        subprocess.run(["taskset", "-apc", "0", pid], capture_output=True, check=True)


def ours(api: Api, database: str) -> list[Row]:
    """One agent read, contacts written."""
    person = api.person()
    key = person.made("/v1/api-keys", {"name": "bench", "rate_limit": 10_000})["api_key"]
    agent = person.made("/v1/agents", AGENT)["agent_id"]
    pinned(api.url)
    read = load(api.url, key, Asked("GET", f"/v1/agents/{agent}"))
    body = '{"phone_number": "+1415%07d", "name": "Ada"}'
    written = load(api.url, key, Asked("POST", "/v1/contacts", body))
    return [
        (f"ours on {database}: reads of an agent", *read, "≥ 2,000; p99 ≤ 50 ms"),
        (f"ours on {database}: contacts durably written", *written, "≥ 800; p99 ≤ 50 ms"),
    ]


@contextmanager
def peer(python: str, name: str, folder: Path) -> Iterator[str]:
    """A peer on the first processor, on a SQLite file of its own."""
    port = free_port()
    process = subprocess.Popen(
        ["taskset", "-c", "0", python, str(PEERS / f"{name}.py"), str(folder / f"{name}.sqlite"), str(port)],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                urllib.request.urlopen(f"{url}/agents/1", timeout=1)  # noqa: S310 - our own loopback address
            except urllib.error.HTTPError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def peers(folder: Path) -> list[Row]:
    """The same two kinds of work elsewhere."""
    rows: list[Row] = []
    pythons = {
        "bare_aiohttp": sys.executable,
        "fastapi_sqlmodel": os.environ.get("CALL2ME_BENCH_FASTAPI", ""),
    }
    for name, python in pythons.items():
        if python:
            with peer(python, name, folder) as url:
                read = load(url, "secret", Asked("GET", "/agents/1"))
                written = load(url, "secret", Asked("POST", "/contacts", '{"phone_number": "+1415%07d"}'))
            named = name.replace("_", " and ")
            rows += [(f"{named}: reads", *read, ""), (f"{named}: durable writes", *written, "")]
    return rows


def pages_of_a_million(api: Api) -> Row:
    """The first, a middle and a filtered page of the list of a million calls."""
    person = api.person()
    user = person.ask("GET", "/v1/users/me").json["user_id"]
    person.ask("GET", "/v1/calls")
    with sqlite3.connect(api.home / "call2me.sqlite") as database:
        columns = [
            row[1] for row in database.execute("PRAGMA table_info(calls)") if row[3] and row[4] is None
        ]
        given = {"owner_id": user, "status": "ended", "briefed_at": "2026-01-01 00:00:00.000000"}
        plain = {"variables": "{}", "participant_identity": "", "participant_name": "", "is_presumed": 0}
        stamps = {"created_at", "updated_at"}
        names = [*dict.fromkeys(["id", *columns, *given])]
        chosen = ", ".join(
            "printf('call_%016x', n)" if name == "id"
            else "datetime('2026-01-01', n || ' seconds') || '.000000'" if name in stamps
            else repr(given.get(name, plain.get(name, 0 if name in ("attempt", "deaths") else "web")))
            for name in names
        )  # fmt: skip
        database.execute(
            f"INSERT INTO calls ({', '.join(names)}) WITH RECURSIVE c(n) AS "  # noqa: S608 - names of our own table
            f"(SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {CALLS}) SELECT {chosen} FROM c"
        )
    until = time.monotonic() + COUNTED_SECONDS
    while time.monotonic() < until:
        with sqlite3.connect(api.home / "call2me.sqlite") as database:
            kept = database.execute("SELECT calls FROM call_counts WHERE owner_id = ?", (user,)).fetchone()
        if kept and sum(json.loads(kept[0]).values()) == CALLS:
            break
        time.sleep(1)
    took = []
    for query in ("limit=50", "limit=50&offset=5000", "limit=50&status=ended", "limit=50&offset=100"):
        for _ in range(5):
            began = time.perf_counter()
            reply = person.ask("GET", f"/v1/calls?{query}")
            took.append((time.perf_counter() - began) * 1000)
            if len(reply.json["calls"]) != 50:
                raise RuntimeError(reply.raw[:500])
    return (
        f"a page of {CALLS:,} calls",
        "",
        f"{statistics.median(took):.1f} / {max(took):.1f} ms (slowest)",
        "≤ 20 ms",
    )  # fmt: skip


def upload(api: Api) -> Row:
    """A CSV of 100 k people into a campaign, as the SDK sends it."""
    person: Person = api.person()
    agent = person.made("/v1/agents", AGENT)["agent_id"]
    person.made("/v1/phone-numbers", {"phone_number": "+442079460958"})
    campaign = person.made(
        "/v1/campaigns", {"name": "Spring", "agent_id": agent, "from_number": "+442079460958"}
    )
    people = "".join(f"+1415{number:07d},Person {number}\n" for number in range(2_000_000, 2_000_000 + ROWS))
    file = ("people.csv", f"phone_number,name\n{people}".encode())
    raw, headers = form([("file", file)], {})
    began = time.perf_counter()
    path = f"/v1/campaigns/{campaign['campaign_id']}/upload-csv"
    reply = person.ask("POST", path, raw=raw, headers=headers)
    took = time.perf_counter() - began
    if reply.status >= 300:
        raise RuntimeError(reply.raw[:500])
    return (f"a CSV of {ROWS:,} rows ({len(file[1]) / 1e6:.1f} MB) uploaded", "", f"{took:.1f} s", "≤ 10 s")


def starts(folder: Path) -> Row:
    """`call2me serve` on a database that is there, to its first answer."""
    with running_api(folder):
        pass
    took = []
    for _ in range(5):
        port = free_port()
        environment = {**os.environ, "CALL2ME_HOME": str(folder), "CALL2ME_PORT": str(port)}
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "serve"], env=environment, cwd=ROOT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1)
                    break
                except OSError:
                    if time.perf_counter() - began > 30:
                        raise
                    time.sleep(0.01)
            took.append(time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait()
    return ("`call2me serve` to its first answer", "", f"{statistics.median(took):.2f} s", "≤ 2 s")


def measure() -> list[Row]:
    """All of it."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("SQLite")
        with running_api(folder / "sqlite") as api:
            rows += ours(api, "SQLite")
        say("PostgreSQL")
        with (
            postgres(is_durable=True) as server,
            running_api(folder / "postgresql", server.database()) as api,
        ):
            rows += ours(api, "PostgreSQL")
        say("peers")
        rows += peers(folder)
        say("start")
        rows.append(starts(folder / "start"))
        say("lists and files")
        with running_api(folder / "lists") as api:
            rows += [pages_of_a_million(api), upload(api)]
    return rows


def main() -> None:
    """Print the table, or put it on the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write into docs/benchmarks.md")
    options = parser.parse_args()
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({processor[1] if processor else ''}), "
        f"{platform.platform()}, Python {platform.python_version()}; one core for the api, one for `wrk`.",
        "",
        "| what | a second | p50 / p99 | goal |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in measure()),
    ]
    sys.stdout.write("\n".join([*lines, ""]))
    if options.write:
        before, _, after = PAGE.read_text(encoding="utf-8").split(MARK)
        PAGE.write_text("\n".join([before + MARK, *lines, MARK + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
