"""Names that contracts accept: every name that may be sent can be looked up."""

import re

# The contracts' definition of "printable", not Python's, which excludes wide spaces, soft hyphens and newer letters.
# Half of a surrogate pair is not a character, and no event has one.
_INSIDE = r"[^\x00-\x1f\x7f-\xa0\u200b-\u200f\u2028-\u202f\ud800-\udfff\ufeff]"
_END = r"[^\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202f\ud800-\udfff\ufeff]"
_NAME = re.compile(f"{_END}({_INSIDE}*{_END})?")


def is_name(text: str, most_characters: int) -> bool:
    """Return whether the contracts allow a name, for a device or for anything else that devices name."""
    return len(text) <= most_characters and _NAME.fullmatch(text) is not None
