"""How far a model's words have drifted from the original's, where W was trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsee.data.records import Question


def text_kl(
    model: Any,
    original: Any,
    processor: Any,
    questions: Sequence[Question],
    batch_size: int = 128,
) -> float:
    """Mean KL(original || model) over the tokens of the answers to text-only prompts, in nats.

    0 where W is the same to the bit; 0 is also the value of the original with itself.

    Args:
        model: the model that was changed.
        original: the model from before, on the same device.
        processor: the processor of both.
        questions: in words, without pictures, with their answers.
        batch_size: questions at a time.
    """
    import torch

    from unsee.data.collate import QuestionCollator
    from unsee.methods.outputs import IGNORED, answer_kl, logits_of

    collate = QuestionCollator(processor)
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(questions), batch_size):
            asked = questions[start : start + batch_size]
            batch = collate(
                [{"image": None, "question": q.question, "answer": q.answer} for q in asked]
            )
            batch = {key: value.to(model.device) for key, value in batch.items()}
            ours, theirs = (logits_of(m, batch) for m in (model, original))
            tokens = int((batch["labels"][:, 1:] != IGNORED).sum())
            total += float(answer_kl(ours, theirs, batch["labels"])) * tokens
            count += tokens
    return total / count
