"""The sizes of a deployment, one module each."""

from importlib import import_module
from typing import TYPE_CHECKING

from infra.deployment import require

if TYPE_CHECKING:
    from infra.profiles.profile import Profile

PROFILES = ("test", "dev", "baseline", "large")


def profile_named(name: str) -> "Profile":
    """Return a profile, or refuse the name together with the ones that exist.

    A profile is made of the constructs' settings, and so imports the CDK; a program that needs the names does not.
    """
    require(name in PROFILES, f"unknown profile {name!r}: choose one of {', '.join(PROFILES)}")
    profile: Profile = getattr(import_module(f"infra.profiles.{name}"), name.upper())
    return profile
