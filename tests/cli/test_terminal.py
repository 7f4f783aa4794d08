"""A terminal shows a device's text with its control characters escaped. A pipe gets it unchanged."""

import pytest

from cli.terminal import print_table

ROW = ("[/x] [true] [bold]z\x1b[2J\u202e", "two\nlines")


def test_what_a_device_wrote_is_shown_on_a_terminal_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(["event", "other"], [ROW])
    shown = capsys.readouterr().out
    assert "[/x] [true] [bold]z\ufffd[2J\ufffd" in shown
    assert "\x1b[2J" not in shown
    assert "two\ufffdlines" not in shown


def test_in_a_pipe_rows_are_csv(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["event", "other"], [ROW])
    assert capsys.readouterr().out == 'event,other\n[/x] [true] [bold]z\x1b[2J\u202e,"two\nlines"\n'
