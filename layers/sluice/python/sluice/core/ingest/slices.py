"""A request's body, split into the bytes of its events exactly as they were sent."""

from functools import cache

import msgspec

from sluice.core.errors import Refusal, Unparsable

_WHITESPACE = b" \t\r\n"


def split_body(body: bytes, max_events: int) -> list[bytes]:
    """Cut a JSON array into its elements; anything else is one event.

    A slice is the text of the JSON value itself: the white space around it belongs to the body, not to the event.
    """
    try:
        # msgspec.Raw skips over strings without decoding them, so the check for UTF-8 comes first.
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: {error.reason} at byte {error.start}."
        raise Unparsable("invalid_utf8", message, body) from error
    trimmed = body.strip(_WHITESPACE)
    if not trimmed:
        raise Refusal(400, "empty_body", "The body is empty; send one JSON object or an array of them.")
    if not trimmed.startswith(b"["):
        return [trimmed]
    try:
        slices = [bytes(raw) for raw in msgspec.structs.astuple(_splitter(max_events + 1).decode(trimmed)) if raw]
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unparsable("malformed_json", f"The array cannot be read as JSON: {error}.", body) from error
    if not slices:
        raise Refusal(400, "empty_batch", f"The array is empty; send one to {max_events} events.")
    if len(slices) > max_events:
        raise Refusal(413, "batch_too_large", f"The array holds more than {max_events} events; send it in parts.")
    return slices


@cache
def _splitter(places: int) -> msgspec.json.Decoder[msgspec.Struct]:
    """Make a reader of arrays with so many elements; it skips the rest.

    A list would hold every element before they could be counted, and four megabytes can hold two million.
    """
    fields = [(f"place_{number}", msgspec.Raw, msgspec.Raw()) for number in range(places)]
    return msgspec.json.Decoder(msgspec.defstruct("Places", fields, array_like=True))
