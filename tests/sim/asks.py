"""Requests as a well-behaved client sends them, for both dialects."""

import json
from typing import Any

CHAT = "/v1beta/openai/chat/completions"
NATIVE = "/v1beta/models/gemini-3-flash-preview:streamGenerateContent?alt=sse"
PATHS = {"chat": CHAT, "native": NATIVE}


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "gemini-2.5-pro",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": text}],
        **more,
    }


def native(text: str, **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def ask(dialect: str, text: str) -> dict[str, Any]:
    return chat(text) if dialect == "chat" else native(text)


def objects(body: str) -> list[Any]:
    """The JSON of every `data:` line."""
    lines = (line.removeprefix("data:").strip() for line in body.splitlines() if line.startswith("data:"))
    return [json.loads(line) for line in lines if line != "[DONE]"]


def chat_text(body: str) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in objects(body))


def native_text(body: str) -> str:
    return "".join(
        part.get("text", "")
        for chunk in objects(body)
        for part in chunk["candidates"][0]["content"].get("parts", [])
        if not part.get("thought")
    )
