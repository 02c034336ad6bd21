"""That a second one waits, and says for what."""

import threading
from pathlib import Path

from sartor.locks import waiting_lock
from sartor.reporter import Silent


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.waits = threading.Event()

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.waits.set()


def test_the_second_waits_and_says_so(tmp_path: Path) -> None:
    path, first, second = tmp_path / "lock", Heard(), Heard()
    order: list[str] = []

    def wait() -> None:
        with waiting_lock(path, second, "building this environment"):
            order.append("second")

    with waiting_lock(path, first, "building this environment"):
        thread = threading.Thread(target=wait)
        thread.start()
        assert second.waits.wait(timeout=30)
        order.append("first")
    thread.join(timeout=30)
    assert order == ["first", "second"]
    assert first.notes == []
    assert second.notes == ["another `sartor` is building this environment; waiting for it"]
