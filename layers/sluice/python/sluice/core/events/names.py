"""Names as contracts take them: a name that may be sent must be found."""

import re

# Their words for "printable", and not Python's: that leaves out wide spaces, soft hyphens and newer letters.
# Half of a surrogate pair is no character, and no event has one.
_INSIDE = r"[^\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202f\ud800-\udfff\ufeff]"
_END = r"[^\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\ud800-\udfff\ufeff]"
_NAME = re.compile(f"{_END}({_INSIDE}*{_END})?")


def is_name(text: str, most_characters: int) -> bool:
    """Say whether a device could bear a name, or anything else that contracts let devices name."""
    return len(text) <= most_characters and _NAME.fullmatch(text) is not None
