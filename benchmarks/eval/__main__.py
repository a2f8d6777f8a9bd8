"""``make eval``: 30 questions whose answers are known, 20 documents whose fields are, asked of RunAPI.

Without a key, or with ``--simulated``, the simulator plays RunAPI: that tries the machinery, and its figures
say nothing of any model. With a key nothing is asked before ``--yes``: what it will cost is said first.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import anyio

from benchmarks.eval.ask import QUESTIONS, Answered, ask_all, documents, simulated
from benchmarks.eval.judge import Asked, wanted
from runapi_mcp.models import ANSWERING, SEARCHING
from runapi_mcp.settings import Settings, from_env
from runapi_mcp.upstream.client import Upstream
from runapi_mcp.wire.types import Usage

_SEARCH: Final = Usage(input=300, output=700, thinking=1_500)
_DOCUMENT: Final = Usage(input=900, output=400, thinking=1_500)
"""Tokens that one takes, more rather than less."""
_TOGETHER: Final = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eval")
    parser.add_argument("--yes", action="store_true", help="ask RunAPI, though it costs money")
    parser.add_argument("--simulated", action="store_true", help="ask the simulator, whatever key is set")
    parser.add_argument("--out", type=Path, default=Path("build/eval.json"), help="where each answer goes")
    given = parser.parse_args()
    anyio.run(evaluate, given)


async def evaluate(given: argparse.Namespace) -> None:
    """Ask, judge and print the table.

    Raises:
        SystemExit: It would cost money, and nobody agreed to that.
    """
    settings = from_env(os.environ)
    if given.simulated or settings.key is None:
        print("The simulator plays RunAPI: this tries the machinery and says nothing of any model.\n")
        async with simulated() as (sim, env):
            # One after the other: what the simulator plays is what comes next in its queue.
            answered, where = await ask_all(env, together=1, say=_say, sim=sim), "the simulator"
    else:
        print(await price(settings))
        if not given.yes:
            sys.exit("Nothing was asked. `make eval YES=1` asks.")
        env = {**os.environ, "RUNAPI_MCP_PRICES": settings.prices or "runapi"}
        answered = await ask_all(env, together=_TOGETHER, say=_say)
        where = f"{settings.base_url}, {datetime.now(UTC):%d %B %Y}"
    given.out.parent.mkdir(parents=True, exist_ok=True)
    rows = [vars(one) for one in (*answered.questions, *answered.documents)]
    given.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"\n{write_table(answered, where)}\n\nEach answer: {given.out}")


def _say(line: str) -> None:
    print(line, flush=True)


async def price(settings: Settings) -> str:
    """Return what all of it will cost, as far as that can be known before."""
    kinds: Sequence[tuple[int, Usage, str, Sequence[str]]] = (
        (len(QUESTIONS), _SEARCH, settings.search_model, SEARCHING),
        (len(documents()), _DOCUMENT, settings.model, ANSWERING),
    )
    upstream = Upstream(settings)
    try:
        if upstream.prices.file is None:
            await upstream.prices.fetch()
        told = []
        for count, each, model, defaults in kinds:
            named = defaults[0] if model == "auto" else model
            one = upstream.prices.of(named)
            cost = one.cost(each) if one else None
            tokens = count * ((each.input or 0) + (each.output or 0) + (each.thinking or 0))
            money = "price unknown"
            if one is not None and cost is not None:
                money = f"about {one.currency} {count * cost / 1e6:.2f}"
            told.append(f"{count} calls of {named}, about {tokens:,} tokens: {money}")
    finally:
        await upstream.aclose()
    return f"This costs money: {'; '.join(told)}; and what RunAPI takes for {len(QUESTIONS)} searches."


def write_table(answered: Answered, where: str) -> str:
    """Return the figures as they may be published."""
    questions, read = answered.questions, answered.documents
    asked, fields = _verdicts(questions), sum((one.counts for one in read), Counter[str]())
    of, papers, values = len(questions), len(read), sum(len(wanted(one)) for one in documents())
    nowhere = sum(place is None for one in documents() for place in wanted(one).values())
    unsourced = sum(one.verdict != "none" and not one.counts["sourced"] for one in questions)
    rests = sum(one.counts["rests"] for one in questions)
    rows = [
        ("questions answered right", asked["right"], of),
        ("… and the sentence with the answer rests on a source", rests, asked["right"]),
        ("questions answered wrong", asked["wrong"], of),
        ("questions without a whole answer", asked["none"], of),
        ("answers without any source", unsourced, of),
        ("documents with every field right", _verdicts(read)["right"], papers),
        ("documents without a conforming answer", _verdicts(read)["none"], papers),
        ("fields right", fields["right"], values - nowhere),
        ("… and their evidence is the place where they stand", fields["placed"], fields["right"]),
        ("fields wrong", fields["wrong"], values - nowhere),
        ("fields missing", fields["missing"], values - nowhere),
        ("fields made up that stand nowhere", fields["made up"], nowhere),
    ]
    table = [f"| {what} | {count} of {most} | {_share(count, most)} |" for what, count, most in rows]
    return "\n".join([
        f"Asked of {where}.", "", "| what | | |", "|---|---|---|", *table, "",
        "| tool | models | seconds, median (slowest) | requests | tokens in / out | cost |",
        "|---|---|---|---|---|---|",
        _cost("search_web", questions), _cost("extract_json", read),
    ])  # fmt: skip


def _verdicts(asked: Sequence[Asked]) -> Counter[str]:
    return Counter(one.verdict for one in asked)


def _share(count: int, most: int) -> str:
    return f"{count / most:.0%}" if most else ""


def _cost(tool: str, asked: Sequence[Asked]) -> str:
    receipts: list[Mapping[str, Any]] = [one.receipt for one in asked if one.receipt]
    seconds = [one["seconds"] for one in receipts] or [0.0]
    tokens: Counter[str] = Counter()
    for one in receipts:
        tokens.update({name: count for name, count in (one.get("tokens") or {}).items() if count})
    costs = [one["cost"] for one in receipts if one.get("cost") is not None]
    currency = next((one["currency"] for one in receipts if one.get("currency")), "")
    money = f"{currency} {sum(costs):.4f}" if costs else "unknown"
    written = tokens["output"] + tokens["thinking"]
    models = ", ".join(sorted({one["model"] for one in receipts}))
    return (
        f"| {tool} | {models} | {median(seconds):.1f} ({max(seconds):.1f}) "
        f"| {sum(one.get('requests', 0) for one in receipts)} | {tokens['input']:,} / {written:,} | {money} |"
    )


if __name__ == "__main__":
    main()
