"""chat: ask, read, and ask on, until nothing more is asked."""

import argparse
from dataclasses import replace

from runapi_mcp.cli.parser import Subparsers, Surroundings, add_command
from runapi_mcp.errors import InputError


def add_chat(commands: Subparsers) -> None:
    """Add chat."""
    chat = add_command(
        commands,
        "chat",
        "keep asking, each question going on from the last answer",
        takes="[OPTIONS]",
        examples=["runapi-mcp chat", "runapi-mcp chat --from g_EXAMPLE"],
        description="Ends at an empty line, or the end of what is typed.",
    )
    chat.add_argument("--from", dest="continue_from", metavar="HANDLE", help="go on from this answer")
    chat.add_argument("-s", "--system", metavar="TEXT", help="system instruction")
    chat.add_argument("-m", "--model", dest="which_model", metavar="ID", help="runapi-mcp models shows them")
    chat.set_defaults(person=_chat)


def _chat(given: argparse.Namespace, around: Surroundings) -> int:
    import anyio

    from runapi_mcp import logs
    from runapi_mcp.cli.client import Question, perform
    from runapi_mcp.cli.screen import screen_for
    from runapi_mcp.cli.view import EXIT_CODES, print_reply
    from runapi_mcp.generations.store import store_folder
    from runapi_mcp.key import PERSON_SECONDS, own_key

    settings = around.settings()
    if store_folder(settings, around.env) is None:
        raise InputError("chat needs a store on this machine.", advice="Unset RUNAPI_MCP_STORE.")
    logs.configure(settings, around.err)
    question = Question("ask_gemini", {})
    first = {"model": given.which_model, "system": given.system, "continue_from": given.continue_from}
    question = replace(question, arguments={name: value for name, value in first.items() if value})
    code = 0
    while prompt := _next(around):
        screen = screen_for(around.out, around.err, around.env, quiet=False)
        asked = replace(question, arguments={**question.arguments, "prompt": prompt})
        keyring = own_key(settings, around.env, PERSON_SECONDS)
        outcome = anyio.run(perform, asked, settings, screen.show, keyring, around.env)
        code = print_reply(outcome, screen, around)
        if outcome.view is not None and outcome.view.answer.text:
            question = replace(question, arguments={"continue_from": outcome.view.handle})
        elif outcome.ending == "refused":
            return EXIT_CODES[outcome.ending]
    return code


def _next(around: Surroundings) -> str:
    """Return the next question; empty if there is none."""
    if around.stdin.isatty():
        around.err.write("> ")
    return around.stdin.readline().strip()
