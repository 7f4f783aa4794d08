"""Regular expressions that ingest may run on what devices send: a subset whose cost on any text is bounded.

A matcher tries the ways through a pattern one by one. So a pattern is taken if the number of ways through it is
bounded, whatever the text: each repeat has an upper limit, and the ways of what follows each other multiply. This also
refuses repeats inside repeats, and alternatives inside repeats, as far as they multiply.
"""

import re

MOST_CHARACTERS = 1000
MOST_WAYS = 4096
MOST_LENGTH = 1024
"""The longest text that a pattern may match."""
_MOST_GROUPS = 8  # inside each other

_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[^0-9A-Za-z])"
# Doubled, & | ~ may mean sets of sets in later versions of Python; fastjsonschema takes $ for the end of the text.
_MEMBER = rf"(?:{_ESCAPE}|[^\\\[\]&|~$-])"
_CHARACTER = re.compile(rf"{_ESCAPE}|[^\\\[\](){{}}?*+|.^$]|\[\^?-?(?:{_MEMBER}(?:-{_MEMBER})?)+-?\]|\[\^?-\]")
_REPEAT = re.compile(r"\?|\{([0-9]{1,4})(?:,([0-9]{1,4}))?\}")


class PatternError(Exception):
    """The pattern is not in the subset; the message completes `the pattern ...`."""


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that is not in the subset."""
    if len(pattern) > MOST_CHARACTERS:
        raise PatternError(f"has {len(pattern)} characters; {MOST_CHARACTERS} is the most")
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise PatternError("does not describe the whole text: it begins with ^ and ends with $")
    if pattern.endswith("\\$"):
        raise PatternError("ends with a backslash before its $; write the last character as a class, such as [\\$]")
    reading = _Reading(pattern[1:-1])
    reading.read_sequence(0)
    if reading.place < len(reading.text):
        ended = "has alternatives outside of a group" if reading.take("|") else "ends a group that did not begin"
        raise PatternError(f"{ended}: ^ and $ must hold for the whole of it")
    try:
        re.compile(pattern)
    except re.error as error:
        raise PatternError(f"is no regular expression: {error}") from error


def matches(pattern: str, text: str) -> bool:
    """Return whether a supported pattern matches a text."""
    # JSON Schema's $ is the very end; Python's $ also matches before a final line feed.
    return re.search(pattern.removesuffix("$") + r"\Z", text) is not None


class _Reading:
    """A pattern while it is read. Each method returns the ways through its part, and the longest text it matches."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def read_sequence(self, groups: int) -> tuple[int, int]:
        ways, longest = 1, 0
        while self.place < len(self.text) and self.text[self.place] not in "|)":
            more, length = self._read_repeat(self._read_item(groups))
            ways, longest = _bound(ways * more, longest + length)
        return ways, longest

    def _read_alternatives(self, groups: int) -> tuple[int, int]:
        ways, longest = self.read_sequence(groups)
        while self.take("|"):
            more, length = self.read_sequence(groups)
            ways, longest = ways + more, max(longest, length)
        return _bound(ways, longest)

    def _read_item(self, groups: int) -> tuple[int, int]:
        if self.take("("):
            if self.take("?") and not self.take(":"):
                raise PatternError("looks around, names a group or sets a flag; groups are ( ) or (?: )")
            if groups == _MOST_GROUPS:
                raise PatternError(f"has more than {_MOST_GROUPS} groups inside each other")
            inside = self._read_alternatives(groups + 1)
            if not self.take(")"):
                raise PatternError("has a group that does not end")
            return inside
        found = _CHARACTER.match(self.text, self.place)
        if found is None:
            raise PatternError(f"has at character {self.place + 2} {self._explain()}")
        self.place = found.end()
        return 1, 1

    def _read_repeat(self, item: tuple[int, int]) -> tuple[int, int]:
        found = _REPEAT.match(self.text, self.place)
        if found is None:
            return item
        self.place = found.end()
        least, most = (0, 1) if found[0] == "?" else (int(found[1]), int(found[2] or found[1]))
        if most > MOST_LENGTH or least > most:
            raise PatternError(f"repeats up to {most} times; {MOST_LENGTH} is the most, and no less than the least")
        ways, longest = item
        if ways == 1:
            return _bound(most - least + 1, longest * most)
        # Two ways, repeated thirteen times, are more than are taken.
        return _bound(sum(ways ** min(times, 13) for times in range(least, min(most, least + 13) + 1)), longest * most)

    def take(self, character: str) -> bool:
        taken = self.text.startswith(character, self.place)
        self.place += taken
        return taken

    def _explain(self) -> str:
        character = self.text[self.place]
        if character in "*+" or re.compile(r"\{[0-9]+,\}").match(self.text, self.place):
            return "a repeat without an upper limit; write {0,64} or {1,64}"
        if character == "\\":
            return "a back-reference, or a class such as \\d or \\w; write [0-9] or [0-9A-Za-z_]"
        if character == "[":
            return "a class such as [a-z_]; in it, write \\ before each of [ ] & | ~ $ -"
        return f"{character!r}, which has no supported meaning there; to mean the character, write \\{character}"


def _bound(ways: int, longest: int) -> tuple[int, int]:
    if ways > MOST_WAYS:
        raise PatternError(f"can match in more than {MOST_WAYS} ways, which can take too long")
    if longest > MOST_LENGTH:
        raise PatternError(f"matches texts of more than {MOST_LENGTH} characters")
    return ways, longest
