"""What questions have in common is computed once: V, P and the beginning of W's prompt for all
questions about a picture, and the rest of the prompt for all options of a question.

    picture  ->  V  ->  P  ->  W  ->  cache of the picture       once a picture
    question + cache of its picture  ->  W  ->  answer           once a question
    question + cache of its picture  ->  W  ->  cache            once a question
    option + cache of its question   ->  W  ->  likelihood       once an option

It is exact for families that say so (`Family.shares_vision`); others are asked in the plain way.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from unsee.anatomy import Anatomy, families
from unsee.data.collate import PictureCollator
from unsee.data.prompts import encode

if TYPE_CHECKING:
    from unsee.evaluation.answering import Asked

Ids = list[int]
KNOWN_INPUTS = {"input_ids", "attention_mask", "pixel_values"}


class Shared:
    """Caches of pictures, and what W makes of prompts behind them.

    Args:
        model: multimodal model, in eval mode.
        processor: its processor.

    Attributes:
        tokens: what P made of each picture at hand, [T', D].
        row: pictures of a prompt -> row of the cache.
        begin: the tokens that all prompts at hand begin with, the last picture's at their end.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        family = families()[model.config.model_type]
        self.model, self.processor = model, processor
        self.seeing = Anatomy(model, family).seeing
        self.collate = PictureCollator(processor)
        self.image_id = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
        self.tokens: dict[Hashable, Any] = {}
        self.row: dict[tuple[Hashable, ...], int] = {}
        self.begin: Ids = []
        self.cache: Any = None

    def see(self, asked: Sequence[Asked], batch_size: int) -> None:
        """Runs V and P once on each picture of these prompts; the earlier ones are let go."""
        self.begin, self.cache, self.tokens = [], None, {}
        self.row = {shown: row for row, shown in enumerate(dict.fromkeys(a.shown for a in asked))}
        pictures = {k: load for a in asked for k, load in zip(a.shown, a.pictures, strict=True)}
        keys = list(pictures)
        for start in range(0, len(keys), batch_size):
            chosen = keys[start : start + batch_size]
            batch = self.collate([{"image": pictures[key]()} for key in chosen])
            batch = {name: value.to(self.model.device) for name, value in batch.items()}
            self.tokens |= zip(chosen, self.seeing(batch).projector, strict=True)

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        """Token ids of each text, image tokens repeated as often as a picture has tokens: what the
        processor makes of text and pictures."""
        token = self.processor.image_token
        many = token * len(next(iter(self.tokens.values()))) if self.tokens else token
        return self.processor.tokenizer([text.replace(token, many) for text in texts]).input_ids

    def read(self, prompts: Sequence[Ids]) -> bool:
        """Runs W once on what these prompts begin with, up to the end of the last picture; False
        if they don't begin with it alike, or end with it."""
        import torch

        if not self.tokens:
            return True
        length = len(prompts[0]) - prompts[0][::-1].index(self.image_id)
        rest = [prompt[length:] for prompt in prompts]
        alike = common_prefix(prompts) >= length
        if not alike or not all(rest) or any(self.image_id in row for row in rest):
            return False
        self.begin = prompts[0][:length]
        ids = torch.tensor([self.begin] * len(self.row), device=self.model.device)
        embeddings = self.model.get_input_embeddings()(ids)
        tokens = torch.cat([self.tokens[key] for shown in self.row for key in shown])
        places = (ids == self.image_id).unsqueeze(-1)
        embeddings = embeddings.masked_scatter(places, tokens.to(embeddings.dtype))
        read = self.model(inputs_embeds=embeddings, use_cache=True, logits_to_keep=1)
        self.cache = read.past_key_values
        return True

    def prompts(self, rows: Sequence[Ids], asked: Sequence[Asked]) -> dict[str, Any]:
        """What `generate` takes: prompts that begin with `begin`, padded behind it. `input_ids` and
        `attention_mask` are [B, T]."""
        import torch

        cut = len(self.begin)
        ids, mask = self._padded([row[cut:] for row in rows], left=True)
        begin = ids.new_tensor([self.begin] * len(rows)).long()
        ids = torch.cat([begin, ids], dim=1)
        mask = torch.cat([torch.ones_like(begin), mask], dim=1)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self.cache is not None:
            chosen = torch.tensor([self.row[one.shown] for one in asked], device=ids.device)
            inputs["past_key_values"] = rows_of(self.cache, chosen)
        return inputs

    def _padded(self, rows: Sequence[Ids], left: bool) -> tuple[Any, Any]:
        """(ids [B, T], mask [B, T]) of rows of unequal length."""
        import torch

        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.processor.tokenizer.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            place = slice(width - len(row), width) if left else slice(0, len(row))
            ids[i, place] = torch.tensor(row)
            mask[i, place] = 1
        return ids.to(self.model.device), mask.to(self.model.device)

    def weigh(
        self,
        options: Sequence[Sequence[Ids]],
        lengths: Sequence[Sequence[int]],
        asked: Sequence[Asked],
    ) -> list[list[float]]:
        """Log-likelihood of options, what stands before them computed once a prompt.

        Args:
            options: for each prompt one row of token ids an option: the prompt, then the option.
            lengths: tokens of each option, with which its row ends.
            asked: the prompts.

        Returns:
            For each prompt one sum an option.
        """
        import torch

        cuts = [end_of_prompt(of, many) for of, many in zip(options, lengths, strict=True)]
        inputs = self.prompts([of[0][:c] for of, c in zip(options, cuts, strict=True)], asked)
        read = self.go_on(**inputs, logits_to_keep=1)
        of_row = [i for i, of in enumerate(options) for _ in of]
        owner = torch.tensor(of_row, device=self.model.device)
        rests = [o[cut:] for of, cut in zip(options, cuts, strict=True) for o in of]
        ids, mask = self._padded(rests, left=False)
        logits = read.logits[owner]  # [N, 1, V], predicts the first token of each rest
        if ids.shape[1] > 1:
            inputs = {
                "input_ids": torch.cat([inputs["input_ids"][owner], ids[:, :-1]], dim=1),
                "attention_mask": torch.cat([inputs["attention_mask"][owner], mask[:, :-1]], dim=1),
                "past_key_values": rows_of(read.past_key_values, owner),
            }
            after = self.go_on(**inputs)
            logits = torch.cat([logits, after.logits], dim=1)
        chances = logits.float().log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
        place = torch.arange(ids.shape[1], device=ids.device)
        ends = mask.sum(1, keepdim=True)
        scored = ids.new_tensor([n for many in lengths for n in many]).unsqueeze(1)
        sums = iter((chances * ((place < ends) & (place >= ends - scored))).sum(1).tolist())
        return [[next(sums) for _ in of] for of in options]

    def go_on(self, **inputs: Any) -> Any:
        """The model on what follows the tokens that the cache among its inputs holds."""
        mask, ids = inputs["attention_mask"], inputs["input_ids"]
        cache = inputs.get("past_key_values")
        known = 0 if cache is None else cache.get_seq_length()
        if "pixel_values" in inputs:
            return self.model(**inputs)
        places = (mask.cumsum(-1) - 1).clamp(min=0)  # padding doesn't count
        inputs |= {"input_ids": ids[:, known:], "position_ids": places[:, known:]}
        return self.model(**inputs, use_cache=True)


def shared_by(model: Any, processor: Any, first: Asked) -> Shared | None:
    """`Shared`, or None where it would not be exact: the family does not allow it, or the processor
    makes something else of the first prompt and its pictures than `Shared.encode` does."""
    family = families().get(getattr(model.config, "model_type", ""))
    if family is None or not family.shares_vision or not hasattr(model, family.core):
        return None
    if not isinstance(getattr(processor, "image_token", None), str):
        return None
    if any(hasattr(p, "full_tensor") for p in model.parameters()):
        return None  # sharded: parts of the model can't be run by themselves
    shared = Shared(model, processor)
    shared.see([first], 1)
    plain = encode(processor, [first.text], [first.load()])
    same = shared.encode([first.text]) == plain["input_ids"].tolist()
    return shared if same and set(plain) <= KNOWN_INPUTS else None


def common_prefix(rows: Sequence[Ids]) -> int:
    """Number of tokens that all rows begin with."""
    first, last = min(rows), max(rows)  # in the order of words in a dictionary
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return place
    return min(len(first), len(last))


def end_of_prompt(options: Sequence[Ids], lengths: Sequence[int]) -> int:
    """Tokens that rows have in common before their options, which are of these lengths."""
    return min(common_prefix(options), *(len(o) - n for o, n in zip(options, lengths, strict=True)))


def rows_of(cache: Any, chosen: Any) -> Any:
    """A cache of these rows, in this order; the one that it is from stays as it is."""
    taken = copy.copy(cache)
    taken.layers = [copy.copy(layer) for layer in cache.layers]
    taken.batch_select_indices(chosen)
    return taken
