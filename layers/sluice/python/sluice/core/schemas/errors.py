"""The error of a document that cannot be a version of a contract."""

from sluice.core.schemas.versions import Place


class UnsupportedSchema(Exception):
    """The document cannot be a version of a contract; the message is one sentence for its author."""

    def __init__(self, code: str, place: Place, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.place = place
        self.path = ".".join(("$", *place))
