"""What is taken out of errors, logs and tracebacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gazetune.config.address import Address
from gazetune.errors import InputError, RunError, redact
from gazetune.errors.redact import hide_secrets


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the passwords of the tests before."""
    monkeypatch.setattr(redact, "_remembered", set())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a postgresql://me:CANARY@h/d, b", "a postgresql://me:***@h/d, b"),
        ("('http://h/x?token=CANARY&b=1')", "('http://h/x?token=***&b=1')"),
        ("s3://b?secret_key=CANARY", "s3://b?secret_key=***"),
        ("token hf_abcdefghijklmnopqrstuv.", "token ***."),
        ("accepted: http://HOST:PORT, https://HOST", "accepted: http://HOST:PORT, https://HOST"),
        ("http://host:5000/path and mysql://me@h:3306", "http://host:5000/path and mysql://me@h:3306"),
        ("data.jsonl:3: no reply", "data.jsonl:3: no reply"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown
    assert str(InputError(text)) == str(RunError(text)) == shown


def test_secrets_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "CANARY1")
    monkeypatch.setenv("PGPASSWORD", "post")
    assert hide_secrets("CANARY1: post, postgresql") == "***: ***, postgresql"


def test_the_password_of_an_address_is_hidden_wherever_a_library_shows_it() -> None:
    Address("postgresql://me:CANARY%40two@h/d")
    assert hide_secrets("no host 'CANARY@two'; CANARY%40two") == "no host '***'; ***"


def test_a_log_line_and_its_traceback_show_no_password() -> None:
    code = (
        "import logging; from gazetune.cli.program.output import set_up_logging; set_up_logging(True, False)\n"
        "try: raise ValueError('http://me:CANARY@h')\n"
        "except ValueError: logging.getLogger('mlflow').exception('at %s', 'postgresql://me:CANARY@h/d')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Traceback" in done.stderr and "***" in done.stderr and "CANARY" not in done.stderr


def test_an_unexpected_error_shows_no_password_on_the_terminal_or_in_its_file() -> None:
    code = (
        "import sys; from gazetune.cli import doctor, main\n"
        "def run(args): raise ValueError('http://me:CANARY@h')\n"
        "doctor.run = run; sys.exit(main.main(['doctor', *sys.argv[1:]]))"
    )
    for flags in ([], ["--debug"]):
        done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "http://me:***@h" in done.stderr and "CANARY" not in done.stderr
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    log = Path(done.stderr.rpartition("(traceback in ")[2].rstrip(")\n"))
    assert "http://me:***@h" in log.read_text() and "CANARY" not in log.read_text()
    log.unlink()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the command line can be overwritten on Linux alone")
def test_the_command_line_that_others_see_shows_no_password() -> None:
    code = (
        "import sys; from gazetune.cli.program.argument_secrets import hide_argument_secrets\n"
        "hide_argument_secrets(sys.argv[1:]); print(sys.argv[1:], flush=True); sys.stdin.read()"
    )
    arguments = ["--a", "postgresql://me:CANARY@h/d", "--set=b=http://CANARY@h", "x?token=CANARY", "--name", "run"]
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == f"{arguments}\n"
        seen = psutil.Process(process.pid).cmdline()
        process.stdin.close()
    assert "CANARY" not in " ".join(seen) and len(seen) == len(command)
    assert seen[-2:] == ["--name", "run"] and "postgresql://me:***@h/d" in seen[4]
