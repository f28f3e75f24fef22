"""What cannot be done with an imported conversation: nothing of it was decided here."""

from ..contracts.errors import CallError
from ..contracts.imported import IMPORTED
from ..contracts.store import Store


def check_led_here(store: Store, stream: str) -> None:
    """Raises `CallError` where the conversation was imported."""
    summary = store.summary(stream)
    if summary is not None and summary.flow_digest == IMPORTED.digest:
        raise CallError(
            "It was imported: it was led elsewhere, and there is no flow to go on with or to decide it again by.",
            where=stream,
            fix=f"`interlock log {stream[:8]}` tells it, `interlock audit {stream[:8]} --policies FILE` judges it, and "
            f"`interlock replay --routes {stream[:8]} --flow FLOW` routes its messages.",
        )
