"""What savers raise; quick to import."""


class SaverError(Exception):
    """The checkpoint database cannot be used as asked; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
