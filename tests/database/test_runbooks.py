"""The SQL of the runbooks runs on a migrated database, and what they tell to put back is there again."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from sluice.core.control.audit import Act, Entry, write_entry
from tests.database.server import Databases
from tests.support import samples

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"


def statements() -> Iterator[str]:
    """The statements in the prose of the runbooks that look; one that alters is there to cause an alarm."""
    for page in FOLDER.glob("*.md"):
        for code in re.findall(r"`(SELECT\b[^`]+)`", page.read_text()):
            yield " ".join(code.split())


STATEMENTS = sorted(set(statements()))


def test_the_runbooks_have_statements_and_one_of_more_lines() -> None:
    assert len(STATEMENTS) == 5
    assert [page.name for page in FOLDER.glob("*.md") if "```sql" in page.read_text()] == ["administration.md"]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_of_a_runbook_runs(database: str, statement: str) -> None:
    with psycopg.connect(database) as connection:
        # Its argument is the process that another statement has shown; no process has this number.
        ran = connection.execute(statement.replace("(pid)", "(0)").encode())
        assert ran.pgresult is not None
        assert ran.pgresult.status == pq.ExecStatus.TUPLES_OK
        assert ran.rowcount > 0


def test_an_altered_and_a_lost_entry_are_put_back_as_the_runbook_says(
    databases: Databases, database: str, tmp_path: Path
) -> None:
    page = (FOLDER / "administration.md").read_text()
    (statement,) = re.findall(r"^  ```sql\n(.*?)^  ```$", page, re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^ +(for NUMBER in 5 8; .*)$", page, re.MULTILINE)
    (tmp_path / "put-back.sql").write_text(statement)
    entries = list(write(7))
    lines = [f"{entry.hash} {entry.text.decode()}\n" for entry in entries]
    (tmp_path / "earlier.txt").write_text("".join(lines))
    with psycopg.connect(database, autocommit=True) as connection:
        for entry in entries:
            connection.execute("INSERT INTO audit VALUES (%s, %s, %s)", (entry.number, entry.text.decode(), entry.hash))
        connection.execute("UPDATE audit SET entry = replace(entry, 'fleet/f', 'fleet/g') WHERE number = 5")
        connection.execute("DELETE FROM audit WHERE number > 6")
        programs = f"{databases.server.place.programs}{os.pathsep}{os.environ['PATH']}"
        local = command.replace("5 8", "5 7").replace("host=HOST dbname=sluice user=postgres sslmode=require", database)
        assert database in local
        environment = os.environ | {"PATH": programs}
        subprocess.run(["sh", "-c", local], check=True, capture_output=True, cwd=tmp_path, env=environment)
        found = connection.execute("SELECT number, entry, hash FROM audit ORDER BY number").fetchall()
    assert found == [(entry.number, entry.text.decode(), entry.hash) for entry in entries]


def write(count: int) -> Iterator[Entry]:
    """Entries with what a shell, SQL and psql might take for their own."""
    last = None
    state = {"state": "active"}
    for number in range(count):
        reason = f"it's $1 `x` \\n \\\\ :number :'hash' $entry$ %s größer {number}"
        last = write_entry(Act(samples.NOW, "arn", "fleet.create", "fleet/f", None, state, "c", reason), last)
        yield last
