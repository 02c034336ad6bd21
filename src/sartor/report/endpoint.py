"""An endpoint as people read it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sartor.report.command import command

if TYPE_CHECKING:
    from sartor.serve.model import Endpoint


def endpoint_lines(endpoint: Endpoint) -> list[str]:
    """The address, the first answer, a curl line that works as it stands, and how to stop."""
    lines = [f"{endpoint.url}  ({endpoint.model} on {endpoint.engine} {endpoint.version})"]
    if endpoint.reused:
        lines.append("  this server was running already and is used as it is")
    if endpoint.answer:
        answer = endpoint.answer
        speed = answer.completion_tokens / answer.seconds if answer.seconds else 0
        lines += [
            f"  asked:    {answer.question}",
            f"  answered: {_printable(answer.text)[:200]}",
            f"            {answer.completion_tokens} tokens in {answer.seconds:.2f} s",
            f"            {speed:.0f} tokens/s: the first request, its prompt included",
        ]
    if endpoint.demo:
        lines.append("  the demo model's weights are random: its text means nothing")
    lines += [f"  because {reason}" for reason in endpoint.because]
    lines += [f"  not checked: {what}" for what in endpoint.not_checked]
    lines += ["", curl(endpoint), "", *_how_to_stop(endpoint)]
    return lines


def _printable(text: str) -> str:
    """One line without what a terminal would obey: a model may say anything."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def curl(endpoint: Endpoint) -> str:
    """A command that asks the server something; a key is read from its file, never shown."""
    body = f'{{"model": "{endpoint.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'
    parts = [f"curl {endpoint.url}/chat/completions -H 'Content-Type: application/json'"]
    if endpoint.api_key_file:
        file = shlex.quote(endpoint.api_key_file)
        parts.append(f'-H "Authorization: Bearer $(cat {file})"')
    return " ".join([*parts, f"-d {shlex.quote(body)}"])


def _how_to_stop(endpoint: Endpoint) -> list[str]:
    if endpoint.detached or endpoint.reused:
        sartor = command()
        return [f"stop: {sartor} stop {endpoint.id}   log: {sartor} logs {endpoint.id}"]
    return [f"stop: Ctrl-C   log: {endpoint.log}"]
