"""Who may use the page, where it has a password."""

from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any

USER = "darkroom"


@dataclass(frozen=True)
class Login:
    """One user. Comparing takes as long for a password that is nearly right as for any other."""

    password: str = field(repr=False)

    def __call__(self, user: str, password: str) -> bool:
        """Whether it is the one."""
        # Both are looked at: a wrong name must not be answered sooner.
        right = [
            compare_digest(given.encode(), wanted.encode())
            for given, wanted in ((user, USER), (password, self.password))
        ]
        return all(right)


def asked(password: str | None) -> dict[str, Any]:
    """For Gradio's launch: its own login, or none."""
    if password is None:
        return {}
    return {"auth": Login(password), "auth_message": f"The user is {USER}."}
