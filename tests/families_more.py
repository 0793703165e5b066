"""Tiny Qwen-VL, Idefics, SmolVLM, Mllama and BLIP."""

from __future__ import annotations

from typing import Any

from family_parts import (
    PATCH,
    SIDE,
    VISION,
    WIDTH,
    family,
    finish,
    ids,
    template,
    text,
    tokenizer,
)


def qwen(name: str, vision: dict[str, Any]) -> tuple[Any, Any]:
    import transformers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from unsee.processors import without_video

    words = tokenizer()
    places = ids(words, image_token_id="<image>", video_token_id="<video>")
    places |= ids(words, vision_start_token_id="<vision>", vision_end_token_id="</vision>")
    rotary = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    written = text(words, rope_parameters=rotary)
    del written["model_type"]
    config = getattr(transformers, f"{name}Config")(
        vision_config={"num_heads": 4, "patch_size": PATCH, **vision}, text_config=written, **places
    )
    pictures = Qwen2VLImageProcessorPil(
        patch_size=PATCH, size={"shortest_edge": 16 * PATCH**2, "longest_edge": 64 * PATCH**2}
    )
    processor = without_video(getattr(transformers, f"{name}Processor"))(
        pictures, words, chat_template=template("<vision><image></vision>")
    )
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    return finish(model, words), processor


@family
def qwen2_vl() -> tuple[Any, Any]:
    return qwen("Qwen2VL", {"depth": 2, "embed_dim": WIDTH, "hidden_size": WIDTH, "mlp_ratio": 2})


@family
def qwen2_5_vl() -> tuple[Any, Any]:
    sizes = {"depth": 2, "hidden_size": WIDTH, "out_hidden_size": WIDTH, "intermediate_size": 64}
    return qwen("Qwen2_5_VL", {**sizes, "window_size": 4 * PATCH, "fullatt_block_indexes": [1]})


@family
def qwen3_vl() -> tuple[Any, Any]:
    sizes = {"depth": 3, "hidden_size": WIDTH, "out_hidden_size": WIDTH, "intermediate_size": 64}
    deep = {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 16}
    return qwen("Qwen3VL", {**sizes, **deep})


@family
def idefics2() -> tuple[Any, Any]:
    from transformers import Idefics2Config, Idefics2ForConditionalGeneration, Idefics2Processor
    from transformers.models.idefics2.image_processing_pil_idefics2 import (
        Idefics2ImageProcessorPil,
    )

    words = tokenizer()
    latents = 4
    perceiver = {"resampler_n_latents": latents, "resampler_depth": 1, "resampler_n_heads": 4}
    perceiver |= {"hidden_size": WIDTH, "num_key_value_heads": 2, "resampler_head_dim": 8}
    config = Idefics2Config(
        vision_config=VISION,
        perceiver_config=perceiver,
        text_config=text(words, "mistral"),
        image_token_id=words.image_token_id,
        tie_word_embeddings=True,
    )
    pictures = Idefics2ImageProcessorPil(size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE})
    processor = Idefics2Processor(pictures, words, image_seq_len=latents, chat_template=template())
    return finish(Idefics2ForConditionalGeneration(config), words), processor


def tiled(name: str, pictures: Any, processor_class: Any) -> tuple[Any, Any]:
    import transformers

    words = tokenizer()
    config = getattr(transformers, f"{name}Config")(
        vision_config=VISION,
        text_config=text(words),
        scale_factor=2,
        image_token_id=words.image_token_id,
        pad_token_id=0,
    )
    processor = processor_class(
        pictures, words, image_seq_len=(SIDE // PATCH) ** 2 // 4, chat_template=template()
    )
    model = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    return finish(model, words), processor


@family
def idefics3() -> tuple[Any, Any]:
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    edge = {"longest_edge": SIDE}
    pictures = Idefics3ImageProcessorPil(size={"longest_edge": 2 * SIDE}, max_image_size=edge)
    return tiled("Idefics3", pictures, Idefics3Processor)


@family
def smolvlm() -> tuple[Any, Any]:
    from transformers import SmolVLMProcessor
    from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

    from unsee.processors import without_video

    edge = {"longest_edge": SIDE}
    pictures = SmolVLMImageProcessorPil(size={"longest_edge": 2 * SIDE}, max_image_size=edge)

    def processor(pictures: Any, words: Any, **options: Any) -> Any:
        return without_video(SmolVLMProcessor)(pictures, words, None, **options)

    return tiled("SmolVLM", pictures, processor)


@family
def mllama() -> tuple[Any, Any]:
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaProcessor
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    words = tokenizer()
    ratios = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
    vision = {"hidden_size": WIDTH, "intermediate_size": 64, "attention_heads": 4}
    vision |= {"num_hidden_layers": 3, "num_global_layers": 1, "vision_output_dim": 3 * WIDTH}
    vision |= {"intermediate_layers_indices": [1, 2], "supported_aspect_ratios": ratios}
    config = MllamaConfig(
        vision_config={**vision, "image_size": SIDE, "patch_size": PATCH, "max_num_tiles": 4},
        text_config={**text(words, "mllama_text_model"), "cross_attention_layers": [1]},
        image_token_index=words.image_token_id,
    )
    pictures = MllamaImageProcessorPil(size={"height": SIDE, "width": SIDE}, max_image_tiles=4)
    processor = MllamaProcessor(pictures, words, chat_template="<s>" + template())
    return finish(MllamaForConditionalGeneration(config), words), processor


QFORMER = {
    **{"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"intermediate_size": 64, "encoder_hidden_size": WIDTH},
}


@family
def blip_2() -> tuple[Any, Any]:
    written = {"hidden_size": WIDTH, "ffn_dim": 64, "num_hidden_layers": 2, "model_type": "opt"}
    written |= {"num_attention_heads": 4, "word_embed_proj_dim": WIDTH}
    return blip_2_with({**written, "max_position_embeddings": 512, "pad_token_id": 0})


def blip_2_t5() -> tuple[Any, Any]:
    written = {"model_type": "t5", "d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": 1}
    return blip_2_with({**written, "num_heads": 4, "decoder_start_token_id": 0})


def blip_2_with(written: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import Blip2Config, Blip2ForConditionalGeneration, Blip2Processor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    words = tokenizer(named=False)
    config = Blip2Config(
        vision_config=VISION,
        qformer_config={**QFORMER, "vocab_size": len(words)},
        text_config={**written, "vocab_size": len(words)},
        num_query_tokens=4,
        **ids(words, image_token_index="<image>"),
    )
    pictures = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = Blip2Processor(pictures, words, num_query_tokens=4)
    return finish(Blip2ForConditionalGeneration(config), words), processor


@family
def instructblip() -> tuple[Any, Any]:
    from transformers import (
        InstructBlipConfig,
        InstructBlipForConditionalGeneration,
        InstructBlipProcessor,
    )
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    words = tokenizer(named=False)
    config = InstructBlipConfig(
        vision_config=VISION,
        qformer_config={**QFORMER, "vocab_size": len(words)},
        text_config=text(words),
        num_query_tokens=4,
        **ids(words, image_token_index="<image>"),
    )
    pictures = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    processor = InstructBlipProcessor(pictures, words, tokenizer(named=False), num_query_tokens=4)
    return finish(InstructBlipForConditionalGeneration(config), words), processor
