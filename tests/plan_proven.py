"""Whether what another tool says is what a proof expects of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from plan_proofs import output

if TYPE_CHECKING:
    from plan_cases import Proof


def faults(proof: Proof) -> list[str]:
    """Every expectation that does not hold, with the words that were read."""
    return faults_of(proof, output(proof))


def faults_of(proof: Proof, text: str) -> list[str]:
    """The same over given words."""
    lines = {line.strip() for line in text.splitlines()}
    found = [f"no line `{line}`" for line in proof.lines if line not in lines]
    found += [f"no `{part}`" for part in proof.expect if part not in text]
    found += [f"nothing like `{rx}`" for rx in proof.regex if not re.search(rx, text, re.MULTILINE)]
    found += [f"there is `{part}`" for part in proof.absent if part in text]
    return [*found, f"in:\n{text[:4000]}"] if found else []
