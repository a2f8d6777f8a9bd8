"""key: keep the RunAPI key in this machine's keyring, take it out again, say where it would come from."""

import argparse
import getpass
import warnings
from typing import TYPE_CHECKING, Final

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError, KeyringFailed
from runapi_mcp.settings import KEY_NAMES, key_problem

if TYPE_CHECKING:
    from pydantic import SecretStr

    from runapi_mcp.key import Entry, Keychain

_DEEDS: Final = ("set", "forget", "where")
_MOST_STDIN: Final = 8192


def add_key(commands: Subparsers) -> None:
    """Add key."""
    key = add_command(
        commands,
        "key",
        "keep the RunAPI key in this machine's keyring",
        takes="|".join(_DEEDS),
        examples=["runapi-mcp key set", "runapi-mcp key where"],
        description="set asks for the key, or reads it from stdin; forget takes it out; where says where "
        "there is one, and which a server started from here takes. It needs the keyring extra.",
    )
    key.add_argument("deed", choices=_DEEDS, metavar="|".join(_DEEDS))
    key.set_defaults(person=_key)


def _key(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    from runapi_mcp.key import Keychain

    keychain = Keychain(around.settings().base_url, around.env)
    match given.deed:
        case "set":
            # Read here: what a person types is not waited for inside an event loop.
            return anyio.run(_set, keychain, read_key(around), around)
        case "forget":
            return anyio.run(_forget, keychain, around)
        case _:
            return anyio.run(_where, keychain, around)


def read_key(around: Surroundings) -> "SecretStr":
    """Return a key from a prompt that does not show it, or from stdin.

    Raises:
        InputError: There is none, or none that can be used; the message does not show it.
    """
    from pydantic import SecretStr

    text = (_prompt() if around.stdin.isatty() else around.stdin.read(_MOST_STDIN)).strip()
    if not text:
        raise InputError(
            "No key was given.", advice="Type it when asked, or pipe it in: … | runapi-mcp key set"
        )
    if problem := key_problem("What was given", text):
        raise InputError(problem, advice="Copy the key again, without quotes, spaces or line breaks.")
    return SecretStr(text)


def _prompt() -> str:
    with warnings.catch_warnings():
        # Where the echo cannot be turned off, getpass warns, and then reads the key in plain sight.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass("RunAPI key (it is not shown): ")
        except EOFError:
            return ""
        except getpass.GetPassWarning:
            raise InputError(
                "This terminal would show the key.", advice="Pipe it in: … | runapi-mcp key set"
            ) from None


async def _set(keychain: "Keychain", key: "SecretStr", around: Surroundings) -> int:
    entry = await keychain.keep(key)
    around.say(f"{entry.backend} keeps the key for {keychain.account}.")
    if not entry.recommended:
        around.note(
            f"{entry.backend} is not one of the keyrings of an operating system; it may be a file that "
            "others can read."
        )
    around.say("runapi-mcp install HOST --keyring has a host's server take it from there, as does")
    around.say("RUNAPI_MCP_KEYRING=1 in the environment.")
    if name := _find_named(around):
        around.note(f"{name} is set here, and goes first.")
    return 0


async def _forget(keychain: "Keychain", around: Surroundings) -> int:
    entry = await keychain.forget()
    done = "holds no key" if entry.key is None else "no longer holds a key"
    around.say(f"{entry.backend} {done} for {keychain.account}.")
    return 0


async def _where(keychain: "Keychain", around: Surroundings) -> int:
    """Say where there is a key, and which one a server started from here takes; 1 if there is none."""
    named = _find_named(around)
    if named:
        around.say(f"{named} is set here: a server started from here takes the key from there.")
    try:
        entry = await keychain.look()
    except KeyringFailed as failure:
        around.say(str(failure))
        return 0 if named else 1
    around.say(_describe_held(keychain, entry))
    if entry.key is not None and not named:
        looks = around.settings().key_is_in_keyring
        around.say(
            "A server started from here takes the key from there."
            if looks
            else "A server started from here does not look there: RUNAPI_MCP_KEYRING is not set."
        )
    return 0 if named or entry.key is not None else 1


def _describe_held(keychain: "Keychain", entry: "Entry") -> str:
    if entry.key is None:
        return f"{entry.backend} holds no key for {keychain.account}; runapi-mcp key set puts one there."
    length = len(entry.key.get_secret_value())
    return f"{entry.backend} holds a key for {keychain.account}, of {length} characters."


def _find_named(around: Surroundings) -> str:
    return next((name for name in KEY_NAMES if around.env.get(name, "").strip()), "")
