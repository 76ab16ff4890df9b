"""Writes test/golden/generation: a small Llama with random weights and a tokenizer, as transformers saves them, and
answers.json: what transformers generates with it, token by token.

    pip install torch transformers tokenizers safetensors
    python scripts/goldens-generation.py
"""
import json
import shutil
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

OUT = Path(__file__).parent.parent / "test" / "golden" / "generation"
SEED = 11
SPECIAL = ["<pad>", "<begin>", "<end>", "<stop>"]
LETTERS = "abcdefghijklmnopqrstuvwxyz.,"
PROMPTS = ["the cat", "a", "some other hat, on a mat.", "zzz"]
NEW = 14

# Ends come often: two tokens end an answer.
CASES = [dict(num_beams=1, repetition_penalty=penalty) for penalty in (1.0, 1.4, 0.7)]
CASES += [dict(num_beams=beams, length_penalty=length, early_stopping=early, repetition_penalty=penalty)
          for beams in (2, 5)
          for length in (-1.0, 0.0, 1.0, 2.5)
          for early in (False, True, "never")
          for penalty in (1.0, 1.4)]
CASES += [dict(num_beams=4, num_return_sequences=3, length_penalty=0.5),
          dict(num_beams=4, num_return_sequences=4, eos_token_id=None),
          dict(num_beams=3, eos_token_id=[2, 3, 9, 12, 16, 18, 20, 25], early_stopping="never", length_penalty=2.5),
          dict(num_beams=5, num_return_sequences=2, eos_token_id=list(range(2, 30)), early_stopping="never",
               length_penalty=4.0),
          dict(num_beams=3, stop_strings=["e", "th"]),
          dict(num_beams=1, stop_strings=["e", "th"])]


CHAT = [dict(role="system", content="be a cat"), dict(role="user", content="once upon a time")]
TEMPLATE = ("{% for message in messages %}{{ '<begin>' + message['role'][0] + ' ' + message['content'] + '<stop>' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<begin>a ' }}{% endif %}")


def make_tokenizer():
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, "Ġ", *LETTERS, "th", "at", "the"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("t", "h"), ("a", "t"), ("th", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<begin>", eos_token="<end>",
                                                pad_token="<pad>", additional_special_tokens=["<stop>"],
                                                chat_template=TEMPLATE)


def make_model(vocabulary):
    torch.manual_seed(SEED)
    config = transformers.LlamaConfig(vocab_size=vocabulary, hidden_size=24, intermediate_size=32, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                                      initializer_range=0.3, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model = transformers.LlamaForCausalLM(config).eval()
    model.lm_head.weight.data[2:4] *= 1.5
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=1, eos_token_id=[2, 3], pad_token_id=0, do_sample=True, temperature=0.6, top_k=20, top_p=0.9)
    return model


def answers(model, tokenizer, prompt, case):
    if isinstance(prompt, str):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
    else:
        ids = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True).input_ids
    options = dict(eos_token_id=[2, 3]) | case
    extra = dict(tokenizer=tokenizer) if "stop_strings" in case else {}
    config = transformers.GenerationConfig(max_new_tokens=NEW, do_sample=False, pad_token_id=0, output_scores=True,
                                           return_dict_in_generate=True, **options)
    settings, model.generation_config = model.generation_config, config
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), **extra)
    model.generation_config = settings
    results = []
    for row in out.sequences:
        row = row[ids.shape[1]:].tolist()
        ends = [i for i, token in enumerate(row) if token in (options["eos_token_id"] or [])]
        row = row[:ends[0] + 1] if ends else row
        while row and row[-1] == 0 and len(out.sequences) > 1:
            row.pop()  # padding after a shorter one
        results.append(dict(ids=row, text=tokenizer.decode(row, skip_special_tokens=True)))
    if case["num_beams"] > 1:
        for result, score in zip(results, out.sequences_scores.tolist()):
            result["score"] = score
    return results


def main():
    transformers.utils.logging.set_verbosity_error()
    shutil.rmtree(OUT, ignore_errors=True)
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer))
    model.save_pretrained(OUT)
    tokenizer.save_pretrained(OUT)
    found = [dict(**case, answers=[answers(model, tokenizer, prompt, case) for prompt in PROMPTS]) for case in CASES]
    lengths = sorted(len(each["ids"]) for case in found for answer in case["answers"] for each in answer)
    print(f"{len(found)} cases, answers of {lengths[0]} to {lengths[-1]} tokens, median {lengths[len(lengths) // 2]}")
    golden = dict(transformers=transformers.__version__, torch=torch.__version__, seed=SEED, maxNewTokens=NEW,
                  prompts=PROMPTS, cases=found, chat=dict(messages=CHAT, answers=answers(model, tokenizer, CHAT, CASES[0])))
    (OUT / "answers.json").write_text(json.dumps(golden) + "\n")


main()
